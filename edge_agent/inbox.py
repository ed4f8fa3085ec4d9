"""Lone packages on their way in: the archive, and beside it the wish to run it."""

import shutil
from pathlib import Path

import msgspec

from contract.files import CHUNK_BYTES, atomic_writer
from contract.package import PACKAGE_SUFFIX, Package, write_archive
from edge_agent.home import Home, load_document, save_document
from edge_agent.slot_runner import SlotRunner
from edge_agent.update.lone_package import wish_for
from edge_agent.update.records import Wish


def drop_package(home: Home, path: Path, package: Package, *, force: bool = False) -> Wish:
    """Put a checked package into the inbox; the running agent, or the next one, takes it from there."""
    name = package.digest + PACKAGE_SUFFIX
    if path.is_dir():
        write_archive(path, home.inbox / name)
    else:
        with path.open("rb") as source, atomic_writer(home.inbox / name) as target:
            shutil.copyfileobj(source, target, CHUNK_BYTES)
    wish = wish_for(package, name, revision=1, force=force)
    save_document(home.inbox / f"{package.digest}.json", wish)
    return wish


def take_inbox(home: Home, runner: SlotRunner) -> None:
    """Pass waiting wishes to the slot, one at a time; clear what nothing needs any more."""
    if not runner.is_settled:
        return
    waiting = sorted(home.inbox.glob("*.json"))
    if not waiting:
        for archive in home.inbox.glob(f"*{PACKAGE_SUFFIX}"):
            archive.unlink()
        return
    wish = load_document(waiting[0], Wish)
    waiting[0].unlink()
    if wish is not None:
        last = runner.state.update
        runner.wish(msgspec.structs.replace(wish, revision=last.wish.revision + 1 if last else 1))
