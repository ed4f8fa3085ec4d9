"""Where a publication goes: a fleet server, or a folder that is a whole repository. Both take files first, roles last."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from desktop_app.errors import ReleaseError
from desktop_app.jobs.context import Report
from desktop_app.release.catching_up import catch_up
from desktop_app.release.keys import KeyStore
from desktop_app.release.local_repository import LocalRepository
from desktop_app.release.lost_files import resend_lost
from desktop_app.release.repositories import find_repository
from desktop_app.release.server_client import ServerClient, ServerError
from desktop_app.release.tuf_repository import TufRepository
from desktop_app.release.tuf_roles import ROOT

_SERVER_FAULT = 500


class Delivery(NamedTuple):
    """One file on its way; `target` is its TUF path, empty for a file that only a manifest names."""

    sha256: str
    source: Path | bytes
    target: str = ""

    @property
    def size_bytes(self) -> int:
        """Its length."""
        return self.source.stat().st_size if isinstance(self.source, Path) else len(self.source)


class Delivered(NamedTuple):
    """What was sent and what was there already."""

    files: int
    size_bytes: int
    known_files: int


class Outlet(Protocol):
    """A place to publish to."""

    @property
    def repository(self) -> TufRepository:
        """The studio's role files for this place."""

    def deliver(self, files: Sequence[Delivery], report: Report) -> Delivered:
        """Send the files that are not there yet."""

    def lost_roles(self) -> list[str]:
        """Roles that had arrived there and are there no longer."""

    def release(self) -> dict[str, int]:
        """Send the role files that are not in force there; returns the versions in force."""


class ServerOutlet:
    """A fleet server; on opening, newer role files are taken over, and at the first meeting the first root is made.

    Whether another online key than the one in the root may sign is for people to say (`renewing.py`).

    Raises:
        ServerError: it can not be reached.
        KeyStoreError: the first root can not be signed, since only one root key is at hand.
        ReleaseError: the server belongs to another studio, or has another online key than the root names.
    """

    def __init__(self, client: ServerClient, store: KeyStore, root_files: Sequence[Path] = (), *, any_online_key: bool = False) -> None:
        self._client = client
        self.online = client.online_key()
        self.repository = find_repository(store, self.online, first_root=client.first_root())
        self._in_force = catch_up(self.repository, client.fetch_metadata)
        named = self.repository.online_keyids()
        if not named:
            self.repository.set_online_key(self.online, root_files)
        elif self.online.keyid not in named and not any_online_key:
            raise ReleaseError(
                f"the server's online key is {self.online.keyid[:16]}…, the root of trust names another",
                "If the server's key was replaced on purpose (eyelet-fleet rotate-keys): eyelet-studio keys renew --online-key. "
                "Else it may not be your server",
            )

    def deliver(self, files: Sequence[Delivery], report: Report) -> Delivered:
        """Ask for each file by digest and upload it where the server lacks it."""
        total = sum(file.size_bytes for file in files)
        done = sent = sent_bytes = 0
        for file in files:
            report.check_cancelled()
            if not self._client.has_artifact(file.sha256):
                self._client.put_artifact(file.sha256, file.source)
                sent, sent_bytes = sent + 1, sent_bytes + file.size_bytes
            done += file.size_bytes
            report.progress(done, total, "bytes", "uploading")
        return Delivered(sent, sent_bytes, len(files) - sent)

    def lost_roles(self) -> list[str]:
        """Roles that the server had and, put back from an older copy, has no longer; `release` sends them again."""
        return self.repository.lost_roles(self._in_force)

    def release(self) -> dict[str, int]:
        """Publish what is not in force at the server; what it refuses is forgotten here, so that the next attempt signs anew.

        Raises:
            ServerError: the server refused or can not be reached.
            ReleaseError: the server was put back from an older copy and lacks files that only the packages have.
        """
        resend_lost(self._client, self.repository, self.lost_roles())
        pending = self.repository.pending_roles(self._in_force)
        between = _roots_between(self.repository, self._in_force.get(ROOT, 0)) if ROOT in pending else []
        try:
            versions = self._client.publish(pending, between).versions
        except ServerError as error:
            if 0 < error.http_code < _SERVER_FAULT:
                self.repository.discard()
            raise
        self._in_force = dict(versions)
        self.repository.confirm(versions)
        return versions


def _roots_between(repository: TufRepository, in_force: int) -> list[bytes]:
    """The roots after version `in_force` and before the newest, oldest first: a chain has no gaps."""
    return [repository.find_role(ROOT, version) or b"" for version in range(in_force + 1, repository.versions().get(ROOT, 0))]


class FolderOutlet:
    """A folder without a server."""

    def __init__(self, local: LocalRepository) -> None:
        self._local = local
        self.repository = local.repository

    def deliver(self, files: Sequence[Delivery], report: Report) -> Delivered:
        """Copy the files that the folder lacks."""
        sent: list[int] = []
        for number, file in enumerate(files, start=1):
            report.check_cancelled()
            if self._local.write_artifact(file.sha256, file.source, file.target):
                sent.append(file.size_bytes)
            report.progress(number, len(files), "files", "copying")
        return Delivered(len(sent), sum(sent), len(files) - len(sent))

    def lost_roles(self) -> list[str]:
        """None: whatever the folder lacks is written each time."""
        return []

    def release(self) -> dict[str, int]:
        """Write the role files, snapshot and timestamp."""
        versions = self._local.write_metadata()
        self.repository.confirm(versions)
        return versions
