"""A thin REST client for the command line: says in one sentence why a request failed."""

from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx
import msgspec

from contract.codec import encode
from contract.files import read_bounded
from contract.rest import ErrorBody
from fleet_server.data_folder import DataFolder
from fleet_server.errors import FleetError, SetupError

T = TypeVar("T")
TIMEOUT_S = 20.0


class ServerAccess(NamedTuple):
    """Where the server is and with which token."""

    url: str
    token: str


class Naming(NamedTuple):
    """One way to say which server is meant: either its data folder, or its address and a token file. `place` says where it was said."""

    place: str
    server: str = ""
    token_file: Path | None = None
    data: Path | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said here."""
        return not self.server and self.token_file is None and self.data is None


def find_access(options: Naming, environment: Naming) -> ServerAccess:
    """The server as the options name it; the environment counts only where they name none.

    Address and token always come from the same place, so that no server is sent the token of another.

    Raises:
        SetupError: something is missing, or two servers are named at once.
    """
    naming = environment if options.is_empty else options
    if naming.is_empty:
        raise SetupError(
            "it is not known which server is meant", "Give --data, or --server and --token-file (or EYELET_SERVER and EYELET_TOKEN_FILE)."
        )
    if naming.data is not None:
        if naming.server or naming.token_file is not None:
            raise SetupError(
                f"{naming.place} name a server twice: by its data folder, and by address or token file",
                "Give --data alone, or --server and --token-file.",
            )
        folder = DataFolder(naming.data)
        return _read_access(folder.read_server_file().url, folder.token)
    if not naming.server or naming.token_file is None:
        lacking = "token file" if naming.server else "address"
        raise SetupError(
            f"{naming.place} name no {lacking}, and that of another place may belong to another server",
            "Give --server and --token-file together, or --data.",
        )
    return _read_access(naming.server, naming.token_file)


def _read_access(server: str, token_file: Path) -> ServerAccess:
    try:
        return ServerAccess(server.rstrip("/"), read_bounded(token_file, 4096).decode().strip())
    except OSError as error:
        raise SetupError(f"the token file {token_file} can not be read: {error.strerror}") from error


class FleetClient:
    """Asks the server; every answer is decoded as the contract's type."""

    def __init__(self, access: ServerAccess) -> None:
        self._url = access.url
        self._http = httpx.Client(base_url=access.url, headers={"authorization": f"Bearer {access.token}"}, timeout=TIMEOUT_S)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, kind: type[T], **query: str | float) -> T:
        """GET `path` as `kind`."""
        return self._ask("GET", path, kind, params={name: value for name, value in query.items() if value != ""})

    def post(self, path: str, body: object, kind: type[T]) -> T:
        """POST a body of the contract."""
        return self._ask("POST", path, kind, content=encode(body), headers={"content-type": "application/json"})

    def put(self, path: str, body: object, kind: type[T]) -> T:
        """PUT a body of the contract."""
        return self._ask("PUT", path, kind, content=encode(body), headers={"content-type": "application/json"})

    def delete(self, path: str, kind: type[T]) -> T:
        """DELETE `path`."""
        return self._ask("DELETE", path, kind)

    def fetch(self, path: str, max_bytes: int) -> bytes:
        """GET `path` as bytes."""
        response = self._send("GET", path)
        if len(response.content) > max_bytes:
            raise FleetError(f"the server's answer to {path} has {len(response.content)} bytes, at most {max_bytes} are accepted")
        return response.content

    def _ask(self, method: str, path: str, kind: type[T], **options: Any) -> T:  # noqa: ANN401  (httpx's options)
        response = self._send(method, path, **options)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.DecodeError as error:
            raise FleetError(
                f"the server's answer to {path} is not understood: {error}", "Do server and command line have the same version?"
            ) from error

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401  (httpx's options)
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise FleetError(f"the server {self._url} does not answer: {error}", "Does it run? `eyelet-fleet serve`") from error
        if response.is_error:
            raise _refusal(response)
        return response


def _refusal(response: httpx.Response) -> FleetError:
    try:
        body = msgspec.json.decode(response.content, type=ErrorBody)
    except msgspec.DecodeError:
        return FleetError(f"the server answered {response.status_code}")
    return FleetError(body.error, body.advice)
