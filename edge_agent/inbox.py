"""Lone packages and bundles on their way in: the archive, and beside it the wish to run it."""

import shutil
import time
from pathlib import Path

import msgspec

from contract.bundle import BUNDLE_SUFFIX, BundleIndex
from contract.errors import SizeError
from contract.files import CHUNK_BYTES, atomic_writer
from contract.package import PACKAGE_SUFFIX, Package, write_archive
from edge_agent.home import Home, load_document, save_document
from edge_agent.slot_runner import SlotRunner
from edge_agent.update.bundles import bundle_name, wish_for_bundle
from edge_agent.update.lone_package import wish_for
from edge_agent.update.records import Wish

ARCHIVE_AGE_S, LEFTOVER_AGE_S = 60.0, 3600.0
"""What nothing needs is removed once it is this old: an archive whose wish is just being written, and a copy under way, are not."""


def drop_package(home: Home, path: Path, package: Package, *, reserve_bytes: int = 0, force: bool = False) -> Wish:
    """Put a checked package into the inbox; the running agent, or the next one, takes it from there.

    Raises:
        SizeError: the disk has no room for it twice, in the inbox and as the version.
    """
    name = package.digest + PACKAGE_SUFFIX
    _check_room(home, "package", 2 * sum(entry.size_bytes for entry in package.manifest.files.values()), reserve_bytes)
    if path.is_dir():
        write_archive(path, home.inbox / name)
    else:
        _copy(path, home.inbox / name)
    wish = wish_for(package, name, revision=1, force=force)
    save_document(home.inbox / f"{package.digest}.json", wish)
    return wish


def drop_bundle(home: Home, path: Path, index: BundleIndex, *, reserve_bytes: int, force: bool = False) -> Wish:
    """Copy a bundle into the inbox, so that the stick may be pulled out; whether it is to be trusted is decided there.

    Raises:
        SizeError: the disk has no room for the copy.
        OSError: the stick or the disk failed.
    """
    _check_room(home, "bundle", path.stat().st_size, reserve_bytes)
    _copy(path, home.inbox / bundle_name(index))
    wish = wish_for_bundle(index, force=force)
    save_document(home.inbox / f"{index.manifest.sha256}.json", wish)
    return wish


def _check_room(home: Home, what: str, size: int, reserve_bytes: int) -> None:
    free = shutil.disk_usage(home.inbox).free
    if free < size + reserve_bytes:
        raise SizeError(f"the {what} takes {size} bytes and {reserve_bytes} must stay free, but only {free} are; free some space")


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, atomic_writer(target) as writer:
        shutil.copyfileobj(reader, writer, CHUNK_BYTES)


def take_inbox(home: Home, runner: SlotRunner, *, revision_seen: int, is_member: bool) -> None:
    """Pass waiting wishes to the slot, one at a time; clear what nothing needs any more.

    Of a device that is a member of a fleet, a bundle may take the place of an update that waits for
    the server. Its revision is the one after the last that the fleet wished for: a newer wish of the
    fleet replaces it, an older one does not come back. Lone packages are left alone there. What waits
    for leave (for its maintenance window, say) gives way to what is dropped after it.
    """
    paths = sorted(home.inbox.glob("*.json"))
    waiting = {path: wish for path in paths if (wish := load_document(path, Wish)) is not None}
    under_way = None if runner.is_settled else runner.state.update
    if under_way is not None and (under_way.is_final or under_way.wish.package or not is_member) and not under_way.waits_for:
        return
    path = next((path for path, wish in waiting.items() if wish.is_from_bundle or not is_member), None)
    if path is not None:
        path.unlink()
        last = runner.state.update
        revision = revision_seen + 1 if waiting[path].is_from_bundle else (last.wish.revision + 1 if last else 1)
        runner.wish(msgspec.structs.replace(waiting[path], revision=revision))
    elif under_way is None and not is_member:
        for damaged in set(paths) - set(waiting):
            damaged.unlink(missing_ok=True)
    if under_way is None and not paths:
        _clear(home)


def _clear(home: Home) -> None:
    patterns = {f"*{PACKAGE_SUFFIX}": ARCHIVE_AGE_S, f"*{BUNDLE_SUFFIX}": ARCHIVE_AGE_S, ".*.tmp": LEFTOVER_AGE_S}
    for pattern, age_s in patterns.items():
        for path in home.inbox.glob(pattern):
            if time.time() - path.stat().st_mtime > age_s:
                path.unlink(missing_ok=True)
