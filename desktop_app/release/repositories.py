"""All TUF repositories of a key store: one per fleet server, found by the server's online key."""

from pathlib import Path

from contract.signing import PublicKey
from desktop_app.release.keys import REPOSITORY, KeyStore
from desktop_app.release.role_files import newest_roles
from desktop_app.release.tuf_checks import expiry_warnings
from desktop_app.release.tuf_repository import Clock, TufRepository, utc_clock
from desktop_app.release.tuf_roles import ROOT


def list_repositories(store: KeyStore, clock: Clock = utc_clock) -> list[TufRepository]:
    """Every repository of a key store."""
    return [TufRepository(folder, store, clock) for folder in _folders(store.folder)]


def _folders(keys_folder: Path) -> list[Path]:
    parent = keys_folder / REPOSITORY
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def repository_warnings(keys_folder: Path, clock: Clock = utc_clock) -> list[str]:
    """A sentence for every role of every repository that ends within 60 days; needs no passphrase."""
    return [warning for folder in _folders(keys_folder) for warning in expiry_warnings(newest_roles(folder), clock())]


def find_repository(store: KeyStore, online: PublicKey, clock: Clock = utc_clock, *, first_root: bytes | None = None) -> TufRepository:
    """The repository whose root lets `online` sign, else the one that began with `first_root`, else a new, empty one for that key.

    A server whose online key was replaced serves the first root as before.
    """
    known = list_repositories(store, clock)
    for repository in known:
        if online.keyid in repository.online_keyids():
            return repository
    for repository in known:
        if first_root is not None and repository.find_role(ROOT, 1) == first_root:
            return repository
    return TufRepository(store.folder / REPOSITORY / online.keyid[:16], store, clock)
