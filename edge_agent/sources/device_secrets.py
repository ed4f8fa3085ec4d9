"""Passwords and tokens of an application: its document only names them, their text lies in the agent's folder `secrets`."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from contract.errors import SizeError
from contract.files import read_bounded
from edge_agent.sources.source import SourceError

SECRETS_FOLDER = "secrets"
SECRET_MAX_BYTES = 8192

SecretName = Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,62})?$")]


def read_secret(name: str, data_folder: Path) -> str:
    """The secret's text without the line break at its end; empty for no name.

    Raises:
        SourceError: this device holds no secret of that name.
    """
    if not name:
        return ""
    path = data_folder / SECRETS_FOLDER / name
    try:
        return read_bounded(path, SECRET_MAX_BYTES).decode().rstrip("\r\n")
    except (OSError, SizeError, UnicodeDecodeError) as error:
        raise SourceError(f"this device holds no secret {name!r}: put it into the file {path} (mode 600); {error}") from error


def with_account(address: str, username: str, password: str) -> str:
    """An address with an account in it, escaped."""
    parts = urlsplit(address)
    place = parts.netloc.rpartition("@")[2]
    account = quote(username, safe="") + (f":{quote(password, safe='')}" if password else "")
    return urlunsplit(parts._replace(netloc=f"{account}@{place}"))
