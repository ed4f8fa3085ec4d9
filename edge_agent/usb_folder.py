"""Bundles from a folder that the device's owner named, such as the mount point of a USB stick: copied into the inbox, each once.

Nothing in the folder is executed or followed, and names are only text.
"""

import asyncio
import contextlib
import logging
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from contract.bundle import BundleIndex, is_bundle_name, read_index
from contract.errors import ContractError
from edge_agent.home import Home, load_document, save_document
from edge_agent.inbox import drop_bundle
from edge_agent.threads import in_thread

LOOK_EVERY_S = 3.0
LOOKED_AT_MAX = 64
SEEN_MAX = 256
SEEN_FILE = "bundles_seen.json"

log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A bundle that was not seen before."""

    path: Path
    about: BundleIndex


async def watch_usb_folder(home: Home, folder: Path, reserve_bytes: int, tell: Callable[[str], None]) -> None:
    """Look every few seconds, until cancelled; `tell` hears what was taken or refused, and why."""
    while True:
        try:
            for sentence in await in_thread("usb-folder", partial(take_new_bundles, home, folder, reserve_bytes)):
                tell(sentence)
        except OSError as error:
            log.warning("%s can not be looked at: %s", folder, error)
        await asyncio.sleep(LOOK_EVERY_S)


def take_new_bundles(home: Home, folder: Path, reserve_bytes: int) -> list[str]:
    """Copy the newest unseen bundle of each model into the inbox; returns what happened, in words.

    A file counts as seen by its name, length and time, also after a restart: a stick that stays in
    does not undo what came later from the fleet.
    """
    seen = load_document(home.state / SEEN_FILE, dict[str, str]) or {}
    marks = _marks(folder)
    new = {path: mark for path, mark in marks.items() if seen.get(path.name) != mark}
    if not new:
        return []
    found, said = _read(new)
    for bundle in _newest(found):
        said.append(_drop(home, bundle, reserve_bytes))
    seen = {**seen, **{path.name: mark for path, mark in new.items()}}
    save_document(home.state / SEEN_FILE, dict(list(seen.items())[-SEEN_MAX:]))
    return said


def _marks(folder: Path) -> dict[Path, str]:
    """Plain files that are named like bundles, with length and time of change."""
    marks = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in sorted(path for path in folder.iterdir() if is_bundle_name(path.name))[:LOOKED_AT_MAX]:
            about = path.lstat()
            if stat.S_ISREG(about.st_mode):
                marks[path] = f"{about.st_size} {about.st_mtime_ns}"
    return marks


def _read(new: dict[Path, str]) -> tuple[list[Found], list[str]]:
    found, said = [], []
    for path in new:
        read = _read_one(path)
        if isinstance(read, Found):
            found.append(read)
        else:
            said.append(read)
    return found, said


def _read_one(path: Path) -> Found | str:
    try:
        return Found(path, read_index(path))
    except (ContractError, OSError) as error:
        return f"the bundle {path.name} is not taken: {error}"


def _newest(found: list[Found]) -> list[Found]:
    newest: dict[str, Found] = {}
    for bundle in sorted(found, key=lambda bundle: bundle.about.version):
        newest[bundle.about.model] = bundle
    return list(newest.values())


def _drop(home: Home, bundle: Found, reserve_bytes: int) -> str:
    about, name = bundle.about, bundle.path.name
    try:
        drop_bundle(home, bundle.path, about, reserve_bytes=reserve_bytes)
    except (ContractError, OSError) as error:
        return f"the bundle {name} is not taken: {error}"
    return f"the bundle {name} with {about.model} {about.version} is taken"
