"""Renew trust: sign the next root and whatever ends soon, where asked for with the server's present online key, and publish it."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from contract.codec import format_time
from desktop_app.errors import ReleaseError
from desktop_app.release.keys import KeyStore
from desktop_app.release.outlets import ServerOutlet
from desktop_app.release.repositories import list_repositories
from desktop_app.release.server_client import ServerClient
from desktop_app.release.tuf_repository import TufRepository
from desktop_app.release.tuf_roles import RoleFile


class Renewal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was signed: the root's version and expiry, and the other roles; `versions` in force once it is published."""

    repository: str
    root_version: int
    root_expires: str
    roles: tuple[str, ...] = ()
    new_online_key: str = ""
    versions: dict[str, int] = {}


def renew_server(client: ServerClient, store: KeyStore, root_files: Sequence[Path], *, take_online_key: bool = False) -> Renewal:
    """Sign the next root, re-sign the roles that end within 60 days, and publish; devices follow by themselves.

    With `take_online_key` the new root lets the server's present online key sign, and no longer the one before.

    Raises:
        KeyStoreError: fewer than two root keys are at hand.
        ReleaseError: nothing was published to this server yet, or it has another online key and nobody said to take it.
        ServerError: the server refused or can not be reached.
    """
    if client.first_root() is None:
        raise ReleaseError("nothing was published to this server yet, so there is nothing to renew", "Publish first: eyelet-studio publish")
    outlet = ServerOutlet(client, store, any_online_key=take_online_key)
    is_new = outlet.online.keyid not in outlet.repository.online_keyids()
    root = outlet.repository.sign_next_root(root_files, outlet.online)
    renewal = _describe(outlet.repository, root, outlet.repository.renew())
    return msgspec.structs.replace(renewal, versions=outlet.release(), new_online_key=outlet.online.keyid if is_new else "")


def renew_here(store: KeyStore, root_files: Sequence[Path]) -> list[Renewal]:
    """The same for every repository of the key store, without a server; the next publication takes it along.

    Raises:
        KeyStoreError: fewer than two root keys are at hand.
        ReleaseError: there is no repository yet.
    """
    repositories = [repository for repository in list_repositories(store) if repository.online_keyids()]
    if not repositories:
        raise ReleaseError(
            "nothing was published with these keys yet, so there is nothing to renew", "Publish first: eyelet-studio publish"
        )
    return [_describe(repository, repository.sign_next_root(root_files), repository.renew()) for repository in repositories]


def _describe(repository: TufRepository, root: RoleFile, roles: Sequence[str]) -> Renewal:
    return Renewal(repository.folder.name, root.version, format_time(root.expires), tuple(roles))
