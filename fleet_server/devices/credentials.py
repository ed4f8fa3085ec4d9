"""Who may speak: verifiers of device passwords and the operator's token, kept in memory and read again on change."""

import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, select

from contract.files import read_bounded, write_atomic
from fleet_server.broker.passwords import check_password
from fleet_server.errors import SetupError
from fleet_server.store import schema
from fleet_server.store.database import Change, Database

TOKEN_MAX_BYTES = 4096


class Credentials:
    """The devices that may connect; the directory that the broker asks."""

    def __init__(self, database: Database) -> None:
        """Load the table and follow its changes."""
        self._database = database
        self._verifiers: dict[str, str] = {}
        self.reload()
        database.listen(Change.CREDENTIALS, self.reload)

    def reload(self) -> None:
        """Read the table again."""
        self._verifiers = self._database.read(_read_verifiers)

    def find_verifier(self, device: str) -> str | None:
        """The verifier of an enrolled device that is not revoked."""
        return self._verifiers.get(device)

    def list_verifiers(self) -> Mapping[str, str]:
        """All of them by device id."""
        return dict(self._verifiers)

    def is_device(self, device: str, password: str) -> bool:
        """Whether this is a device that is not revoked, with its password."""
        return check_password(password, self._verifiers.get(device))


def _read_verifiers(connection: Connection) -> dict[str, str]:
    columns = schema.devices.c
    rows = connection.execute(select(columns.device, columns.verifier).where(columns.revoked.is_(False)))
    return {row.device: row.verifier for row in rows}


def open_operator_token(path: Path) -> str:
    """The operator's bearer token; made at the first start, in a file that its owner alone reads.

    Raises:
        SetupError: others may read the file, or it is empty.
    """
    if not path.exists():
        write_atomic(path, (secrets.token_urlsafe(32) + "\n").encode(), mode=0o600)
    if path.stat().st_mode & 0o077:
        raise SetupError(f"{path} may be read by others", f"Run: chmod 600 {path}")
    token = read_bounded(path, TOKEN_MAX_BYTES).decode(errors="replace").strip()
    if not token:
        raise SetupError(f"{path} is empty", "Remove it; the server makes a new one at its next start.")
    return token


def is_token(expected: str, given: str) -> bool:
    """Compare two tokens in constant time."""
    return hmac.compare_digest(expected.encode(), given.encode())
