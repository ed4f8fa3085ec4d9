"""The server's data folder: where everything lies, and a lock so that two servers never share it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from contract.codec import encode
from contract.files import read_bounded, write_atomic
from fleet_server.errors import SetupError


class ServerFile(msgspec.Struct, frozen=True):
    """`server.json`: where a running server is reached."""

    url: str
    mqtt_url: str
    pid: int


@dataclass(frozen=True)
class DataFolder:
    """Paths inside the data folder."""

    root: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.root / "fleet.sqlite"

    @property
    def artifacts(self) -> Path:
        """Artifacts by SHA-256."""
        return self.root / "artifacts"

    @property
    def samples(self) -> Path:
        """Data of field samples by SHA-256."""
        return self.root / "samples"

    @property
    def keys(self) -> Path:
        """The server's own keys, mode 0600."""
        return self.root / "keys"

    @property
    def broker(self) -> Path:
        """Files of a managed mosquitto, or for the operator of another broker."""
        return self.root / "broker"

    @property
    def token(self) -> Path:
        """The operator's bearer token, mode 0600."""
        return self.root / "operator.token"

    @property
    def server_file(self) -> Path:
        """`server.json`, there while the server runs."""
        return self.root / "server.json"

    def write_server_file(self, url: str, mqtt_url: str) -> None:
        """Say that the server is ready, and where."""
        write_atomic(self.server_file, encode(ServerFile(url, mqtt_url, os.getpid())))

    def read_server_file(self) -> ServerFile:
        """Where the server of this folder is reached.

        Raises:
            SetupError: it does not run, or the file is broken.
        """
        try:
            return msgspec.json.decode(read_bounded(self.server_file, 10_000), type=ServerFile)
        except FileNotFoundError as error:
            raise SetupError(f"no server runs with {self.root}", f"Start it: eyelet-fleet serve --data {self.root}") from error
        except msgspec.DecodeError as error:
            raise SetupError(f"{self.server_file} is broken: {error}", "Start the server again.") from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one server.

        Raises:
            SetupError: another server holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.root / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise SetupError(f"another server uses {self.root} already", "Stop it first, or give another --data.") from error
            try:
                yield
            finally:
                self.server_file.unlink(missing_ok=True)
