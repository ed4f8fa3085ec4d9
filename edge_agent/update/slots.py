"""What lies on the disk: verified files by digest, versions made of hard links, pointers per slot.

A file is in `objects/` only after its digest was checked; a folder is in `versions/` only after
all its files were; a pointer names only such a version. Each of these steps is one rename, of
something whose content is on the disk already.
"""

import contextlib
import logging
import secrets
from collections.abc import Iterable
from pathlib import Path

from contract.errors import ContractError
from contract.files import check_file
from contract.manifest import MANIFEST_NAME, FileEntry, Manifest
from contract.package import Package, open_installed_version
from edge_agent.home import Home, load_document, save_document
from edge_agent.update.disk import REAL_DISK, TEMPORARY, Disk, remove_tree, replace_content
from edge_agent.update.events import Slot
from edge_agent.update.quarantine import Quarantine
from edge_agent.update.records import Installed, Quarantined, Update

CURRENT, LAST_KNOWN_GOOD, CANDIDATE = "current", "last_known_good", "candidate"
PARTIAL = ".partial"
_ASSEMBLE = ".assemble."
_LEFTOVERS = (
    ("versions", f"{_ASSEMBLE}*"),
    ("objects", f".*{TEMPORARY}"),
    ("objects", ".tuf.*"),
    ("inbox", "eyelet-package-*"),
    ("slots", f"*/.*{TEMPORARY}"),
    ("state", f".*{TEMPORARY}"),
    ("tuf", "tmp*"),
)
"""Folder and pattern of what a killed agent may have been writing."""

log = logging.getLogger(__name__)


class SlotStore:
    """Objects, versions, pointers and the quarantine of one agent."""

    def __init__(self, home: Home, disk: Disk = REAL_DISK) -> None:
        self.home = home
        self.disk = disk
        self.quarantine = Quarantine(home.state, disk)

    # Objects

    def object_path(self, digest: str) -> Path:
        """Where a verified file lies, or would lie."""
        return self.home.objects / digest

    def has_object(self, entry: FileEntry) -> bool:
        """Whether a file of this digest and length is there (its content was checked when it came)."""
        with contextlib.suppress(OSError):
            return self.object_path(entry.sha256).stat().st_size == entry.size_bytes
        return False

    def drop_wrong_object(self, entry: FileEntry) -> None:
        """Remove an object whose content is not what its name says (any more), so that it is fetched again."""
        path = self.object_path(entry.sha256)
        if path.exists():
            try:
                check_file(path, entry.sha256, entry.size_bytes)
            except (ContractError, OSError) as error:
                log.warning("An object is damaged on this disk and is removed: %s", error)
                self.disk.remove(path)

    def add_object(self, data: bytes, digest: str) -> None:
        """Store bytes whose digest the caller has checked."""
        replace_content(self.disk, self.object_path(digest), data)

    def drop_other_partials(self, keep: Iterable[FileEntry]) -> None:
        """Remove what was fetched in part for other updates than the one under way."""
        folder, names = self.home.objects / PARTIAL, {entry.sha256 for entry in keep}
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name.partition(".")[0] not in names:  # patches of a file bear its name in front
                self.disk.remove(path)

    # Versions

    def version_folder(self, digest: str) -> Path:
        """Where a verified version lies, or would lie."""
        return self.home.versions / digest

    def assemble(self, digest: str, manifest_bytes: bytes, names: Iterable[str], manifest: Manifest) -> Package:
        """Make a version's folder of hard links and check it whole; it appears only when it is right.

        A version that is there already is only completed: it may be the one that serves.

        Raises:
            ContractError: a file is not what the manifest says; objects that are wrong are removed.
            OSError: the disk is full or can not be written.
        """
        names = tuple(names)
        folder = self.version_folder(digest)
        if folder.is_dir() and self._complete(folder, digest, names, manifest):
            return open_installed_version(folder, digest)
        temporary = self.home.versions / f"{_ASSEMBLE}{secrets.token_hex(4)}"
        try:
            self._fill(temporary, manifest_bytes, names, manifest)
            package = self._check_new(temporary, digest, [manifest.files[name] for name in names])
            remove_tree(self.disk, folder)
            self.disk.rename(temporary, folder)
        except BaseException:
            with contextlib.suppress(OSError):
                remove_tree(self.disk, temporary)
            raise
        self.disk.sync(self.home.versions)
        return package._replace(folder=folder)

    def _complete(self, folder: Path, digest: str, names: tuple[str, ...], manifest: Manifest) -> bool:
        """Add to a sound version the files that it lacks; False where it is damaged."""
        try:
            open_installed_version(folder, digest)
        except (ContractError, OSError) as error:
            log.warning("The version %s… on this disk is damaged and is made again: %s", digest[:16], error)
            return False
        missing = [name for name in names if not (folder / name).exists()]
        for name in missing:
            entry = manifest.files[name]
            check_file(self.object_path(entry.sha256), entry.sha256, entry.size_bytes)
            self._link(folder, name, entry)
        self._sync_folders(folder, missing)
        return True

    def _fill(self, folder: Path, manifest_bytes: bytes, names: tuple[str, ...], manifest: Manifest) -> None:
        self.disk.make_folder(folder)
        self.disk.write(folder / MANIFEST_NAME, manifest_bytes)
        self.disk.sync(folder / MANIFEST_NAME)
        for name in names:
            self._link(folder, name, manifest.files[name])
        self._sync_folders(folder, names)

    def _link(self, folder: Path, name: str, entry: FileEntry) -> None:
        target = folder / name
        if target.parent != folder:
            self.disk.make_folder(target.parent)
        self.disk.link(self.object_path(entry.sha256), target)

    def _sync_folders(self, folder: Path, names: Iterable[str]) -> None:
        inner = {parent for name in names for parent in (folder / name).parents if folder in parent.parents}
        for path in sorted(inner, reverse=True):
            self.disk.sync(path)
        self.disk.sync(folder)

    def _check_new(self, folder: Path, digest: str, entries: list[FileEntry]) -> Package:
        try:
            return open_installed_version(folder, digest)
        except ContractError:
            for entry in entries:
                self.drop_wrong_object(entry)
            raise

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
        return load_document(self.pointer_path(slot, name), Installed, self.disk)

    def pointer_path(self, slot: str, name: str) -> Path:
        """Where a pointer lies."""
        return self.home.slots / slot / f"{name}.json"

    def point(self, slot: str, name: str, installed: Installed | None) -> None:
        """Replace a pointer in one step; None removes it."""
        path = self.pointer_path(slot, name)
        if installed is not None:
            if not path.parent.is_dir():
                self.disk.make_folder(path.parent)
                self.disk.sync(self.home.slots)
            save_document(path, installed, self.disk)
        elif path.exists():
            self.disk.remove(path)
            self.disk.sync(path.parent)

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
        return self.quarantine.entries

    def save_quarantine(self, quarantine: dict[str, Quarantined]) -> None:
        """Replace the quarantine; it holds for this process even where this raises OSError."""
        self.quarantine.replace(quarantine)

    # Garbage

    def remove_leftovers(self) -> None:
        """At the start: folders and files that a killed agent left half made. A broken disk keeps them, nothing else."""
        for folder, pattern in _LEFTOVERS:
            for path in sorted((self.home.folder / folder).glob(pattern)):
                self._try_to_remove(path)

    def _try_to_remove(self, path: Path) -> None:
        try:
            remove_tree(self.disk, path) if path.is_dir() else self.disk.remove(path)
        except OSError as error:
            log.warning("%s was left half made and can not be removed: %s", path.name, error)

    def collect_garbage(self, keep: Iterable[str] = ()) -> list[str]:
        """Remove versions and objects that no pointer of any slot needs; returns the versions' digests.

        Current, last known good and candidate of every slot stay, and what `keep` names. Where a
        pointer can not be read nothing is removed.
        """
        pointers = [(slot, name) for slot in self.slot_names() for name in (CURRENT, LAST_KNOWN_GOOD, CANDIDATE)]
        pointers = [(slot, name) for slot, name in pointers if self.pointer_path(slot, name).exists()]
        named = [self.pointer(slot, name) for slot, name in pointers]
        if None in named:
            log.warning("A pointer can not be read, so nothing is removed from the disk")
            return []
        kept_versions, kept_objects = set(keep), set(keep)
        for installed in filter(None, named):
            kept_versions.add(installed.model.digest)
            if installed.application is not None:
                kept_objects.add(installed.application.digest)
        removed = []
        for folder in sorted(self.home.versions.iterdir()):
            if folder.name not in kept_versions and not folder.name.startswith("."):
                remove_tree(self.disk, self.home.engines / folder.name)
                remove_tree(self.disk, folder)
                removed.append(folder.name)
        self._remove_unlinked_objects(kept_objects | kept_versions)
        return removed

    def _remove_unlinked_objects(self, keep: set[str]) -> None:
        for path in sorted(self.home.objects.iterdir()):
            if path.is_file() and path.name not in keep and path.stat().st_nlink == 1:
                self.disk.remove(path)
