"""A package without a fleet: from the inbox, checked against the keys that this device's owner trusts."""

import contextlib
from pathlib import Path

from contract.errors import ContractError
from contract.files import CHUNK_BYTES
from contract.manifest import FileEntry
from contract.messages import DesiredModel, UpdatePolicy
from contract.package import Package, opened
from contract.states import FailureReason
from edge_agent.home import Home
from edge_agent.trust_store import TrustError, TrustStore
from edge_agent.update.disk import REAL_DISK, Disk, temporary_beside
from edge_agent.update.plan import Documents, StepFailedError
from edge_agent.update.records import Wish

LONE_POLICY = UpdatePolicy(probation_s=5.0, probation_min_inferences=0)
"""Without a fleet nobody says how careful to be: no crash and no failing answers for some seconds."""


def wish_for(package: Package, file_name: str, revision: int, *, force: bool = False) -> Wish:
    """The wish to run a lone package that lies in the inbox under `file_name`."""
    entry = FileEntry(package.digest, len(package.manifest_bytes))
    model = DesiredModel(package.manifest.name, package.manifest.version, entry, force=force)
    return Wish(revision=revision, model=model, policy=LONE_POLICY, package=file_name)


def read_lone_package(home: Home, wish: Wish, disk: Disk = REAL_DISK) -> Documents:
    """Check a package of the inbox whole and store all its files as objects.

    Raises:
        StepFailedError: it is not there, broken, or signed by nobody whom this device trusts.
        OSError: the disk failed.
    """
    path = home.inbox / wish.package
    try:
        with opened(path, TrustStore(home.trust).keys(), scratch=home.inbox) as package:
            for name, entry in package.manifest.files.items():
                _store(package.path_of(name), home.objects / entry.sha256, disk)
            manifest_entry = FileEntry(package.digest, len(package.manifest_bytes))
            return Documents(package.manifest_bytes, manifest_entry)
    except (ContractError, TrustError) as error:
        raise StepFailedError(FailureReason.NOT_TRUSTED, str(error)) from error


def _store(source: Path, target: Path, disk: Disk) -> None:
    if target.exists():
        return
    temporary = temporary_beside(target)
    try:
        disk.write(temporary, b"")
        with source.open("rb") as content:
            while piece := content.read(CHUNK_BYTES):
                disk.append(temporary, piece)
        disk.sync(temporary)
        disk.rename(temporary, target)
    except OSError:
        with contextlib.suppress(OSError):
            disk.remove(temporary)
        raise
    disk.sync(target.parent)
