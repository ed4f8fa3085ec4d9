"""The two keys that the server holds: `online` signs snapshot and timestamp, `director` signs wishes and commands."""

from pathlib import Path
from typing import NamedTuple

from contract.signing import PrivateKey, generate_key, read_private_key, write_private_key


class ServerKeyPair(NamedTuple):
    """The online keys; neither can ship a version that people did not sign."""

    online: PrivateKey
    director: PrivateKey


def open_server_keys(folder: Path) -> ServerKeyPair:
    """Read both keys (files of mode 0600), make those that are absent."""
    return ServerKeyPair(_open_key(folder / "online.pem"), _open_key(folder / "director.pem"))


def rotate_online_key(folder: Path, now: str) -> Path:
    """Make a new online key; returns where the old one is kept. `now` is the time in ISO 8601, for its name.

    The director key stays: devices pinned it when they enrolled.
    """
    open_server_keys(folder)
    current, aside = folder / "online.pem", folder / f"online-until-{now[:19].replace(':', '')}.pem"
    write_private_key(aside, read_private_key(current, passphrase=None), passphrase=None)
    write_private_key(current, generate_key(), passphrase=None)
    return aside


def _open_key(path: Path) -> PrivateKey:
    if not path.exists():
        write_private_key(path, generate_key(), passphrase=None)
    return read_private_key(path, passphrase=None)
