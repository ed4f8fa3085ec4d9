"""What lies on the disk: verified files by digest, versions made of hard links, pointers per slot.

A file is in `objects/` only after its digest was checked; a folder is in `versions/` only after
all its files were; a pointer names only such a version. Each of these steps is one rename.
"""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from contract.errors import ContractError
from contract.files import sha256_of_file, sync_folder, write_atomic
from contract.manifest import MANIFEST_NAME, FileEntry, Manifest
from contract.package import Package, open_installed_version
from edge_agent.home import Home, load_document, save_document
from edge_agent.update.machine import Slot
from edge_agent.update.records import Installed, Quarantined, Update

CURRENT, LAST_KNOWN_GOOD, CANDIDATE = "current", "last_known_good", "candidate"
QUARANTINE_FILE = "quarantine.json"

log = logging.getLogger(__name__)


class SlotStore:
    """Objects, versions, pointers and the quarantine of one agent."""

    def __init__(self, home: Home) -> None:
        self.home = home

    # Objects

    def object_path(self, digest: str) -> Path:
        """Where a verified file lies, or would lie."""
        return self.home.objects / digest

    def has_object(self, entry: FileEntry) -> bool:
        """Whether a file of this digest and length is there (its content was checked when it came)."""
        with contextlib.suppress(OSError):
            return self.object_path(entry.sha256).stat().st_size == entry.size_bytes
        return False

    def add_object(self, data: bytes, digest: str) -> None:
        """Store bytes whose digest the caller has checked."""
        write_atomic(self.object_path(digest), data)

    # Versions

    def version_folder(self, digest: str) -> Path:
        """Where a verified version lies, or would lie."""
        return self.home.versions / digest

    def assemble(self, digest: str, manifest_bytes: bytes, names: Iterable[str], manifest: Manifest) -> Package:
        """Make a version's folder of hard links and check it whole; it appears only when it is right.

        Raises:
            ContractError: a file is not what the manifest says; objects that are wrong are removed.
            OSError: the disk is full or can not be written.
        """
        folder = self.version_folder(digest)
        temporary = Path(tempfile.mkdtemp(dir=self.home.versions, prefix=".assemble."))
        try:
            (temporary / MANIFEST_NAME).write_bytes(manifest_bytes)
            for name in names:
                target = temporary / name
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(self.object_path(manifest.files[name].sha256), target)
            try:
                open_installed_version(temporary, digest)
            except ContractError:
                self._drop_wrong_objects(manifest.files[name] for name in names)
                raise
            temporary.chmod(0o755)
            sync_folder(temporary)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.replace(folder)
            sync_folder(self.home.versions)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return open_installed_version(folder, digest)

    def _drop_wrong_objects(self, entries: Iterable[FileEntry]) -> None:
        for entry in entries:
            path = self.object_path(entry.sha256)
            if path.exists() and sha256_of_file(path) != entry.sha256:
                path.unlink()

    def check_installed(self, installed: Installed | None) -> Package | None:
        """The version a pointer names, checked whole; None where it is missing or damaged (which is logged)."""
        if installed is None:
            return None
        digest = installed.model.digest
        try:
            return open_installed_version(self.version_folder(digest), digest)
        except (ContractError, OSError) as error:
            log.warning("Version %s %s is damaged on this disk: %s", installed.model.model, installed.model.version, error)
            return None

    # Pointers

    def pointer(self, slot: str, name: str) -> Installed | None:
        """What a pointer names; None where there is none or it is damaged."""
        return load_document(self.home.slots / slot / f"{name}.json", Installed)

    def point(self, slot: str, name: str, installed: Installed | None) -> None:
        """Replace a pointer in one step; None removes it."""
        path = self.home.slots / slot / f"{name}.json"
        if installed is not None:
            save_document(path, installed)
        elif path.exists():
            path.unlink()
            sync_folder(path.parent)

    def slot_names(self) -> list[str]:
        """Slots that have ever held something."""
        return sorted(path.name for path in self.home.slots.iterdir() if path.is_dir())

    def load_slot(self, name: str, update: Update | None) -> Slot:
        """What the disk says of a slot; pointers to versions that are damaged count as absent.

        A lost `current` is taken from `last_known_good` and the other way round only by the caller's
        rules; nothing is guessed here.
        """
        good = self.pointer(name, LAST_KNOWN_GOOD)
        current = self.pointer(name, CURRENT)
        good = good if self.check_installed(good) else None
        if current is not None and (good is None or current.model != good.model):
            current = current if self.check_installed(current) else None
        return Slot(current=current, last_known_good=good, update=update, quarantine=self.load_quarantine())

    # Quarantine

    def load_quarantine(self) -> dict[str, Quarantined]:
        """Digests that must not be activated again."""
        return load_document(self.home.state / QUARANTINE_FILE, dict[str, Quarantined]) or {}

    def save_quarantine(self, quarantine: dict[str, Quarantined]) -> None:
        """Replace the quarantine."""
        save_document(self.home.state / QUARANTINE_FILE, quarantine)

    # Garbage

    def remove_leftovers(self) -> None:
        """At the start: folders and files that a killed agent left half made."""
        for path in [*self.home.versions.glob(".assemble.*"), *self.home.objects.glob(".*.tmp")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def collect_garbage(self, keep: Iterable[str] = ()) -> list[str]:
        """Remove versions and objects that no pointer of any slot needs; returns the versions' digests.

        Current, last known good and candidate of every slot stay, and what `keep` names.
        """
        kept_versions, kept_objects = set(keep), set(keep)
        for slot in self.slot_names():
            for name in (CURRENT, LAST_KNOWN_GOOD, CANDIDATE):
                if (installed := self.pointer(slot, name)) is not None:
                    kept_versions.add(installed.model.digest)
                    if installed.application is not None:
                        kept_objects.add(installed.application.digest)
        removed = []
        for folder in self.home.versions.iterdir():
            if folder.name not in kept_versions and not folder.name.startswith("."):
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder.name)
        self._remove_unlinked_objects(kept_objects | kept_versions)
        return sorted(removed)

    def _remove_unlinked_objects(self, keep: set[str]) -> None:
        for path in self.home.objects.iterdir():
            if path.is_file() and path.name not in keep and path.stat().st_nlink == 1:
                path.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
