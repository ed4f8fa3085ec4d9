"""Fetch a file as a patch to one that is here already, where that saves bytes; whatever goes wrong, the whole file is fetched.

List and patch come from a server that nobody has to trust: no length in them is believed, and what
comes out must have the digest that the signed manifest names.
"""

import contextlib
import logging
import shutil
import threading
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

from contract.deltas import PATCH_LIST_MAX_BYTES, PATCHED_LEAST_BYTES, PATCHED_MAX_BYTES, Patch, PatchKind, PatchList, is_worth_it
from contract.files import sha256_of_file
from contract.manifest import FileEntry
from contract.names import is_sha256
from edge_agent.http_client import HttpError, ServerHttp
from edge_agent.update.downloads import (
    PARTIAL,
    DownloadCancelledError,
    DownloadError,
    Patience,
    Wanted,
    fetch_file,
    put_in_place,
)
from edge_agent.update.rebuilding import RebuildRequest
from edge_agent.update.tools import Tools

PATCH_TRIES = 2
PATCH_PATIENCE_S = 60.0
"""A server that is away is waited for with the whole file."""
_MEMORY_SHARE = 0.5

log = logging.getLogger(__name__)


class Savings(NamedTuple):
    """What patches did for an update; lengths in bytes."""

    files: int = 0
    fetched_bytes: int = 0
    whole_bytes: int = 0
    failed: int = 0

    @property
    def saved_bytes(self) -> int:
        """What did not have to be fetched."""
        return self.whole_bytes - self.fetched_bytes

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.files or self.failed)


def describe_savings(savings: Savings) -> str:
    """In words; empty where no patch was tried."""
    words = []
    if savings.files:
        came = "1 file came as a patch" if savings.files == 1 else f"{savings.files} files came as patches"
        words.append(f"{came}: {_bytes(savings.fetched_bytes)} fetched in place of {_bytes(savings.whole_bytes)}")
    if savings.failed:
        failed = "1 patch" if savings.failed == 1 else f"{savings.failed} patches"
        words.append(f"{failed} failed, so the whole was fetched")
    return "; ".join(words)


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"  # noqa: PLR2004


class Choice(NamedTuple):
    """A patch and the file it starts from; None where it needs none."""

    patch: Patch
    kind: PatchKind
    base: Path | None


async def fetch_by_patch(tools: Tools, http: ServerHttp, entry: FileEntry, cancelled: threading.Event) -> Savings:
    """Try to make `entry` an object from a patch; `files` of the answer is 0 where it must be fetched whole.

    Raises:
        DownloadCancelledError: `cancelled` was set.
    """
    if not PATCHED_LEAST_BYTES <= entry.size_bytes <= PATCHED_MAX_BYTES:
        return Savings()
    failed = 0
    for choice in await tools.machinery.in_thread("choose-patch", partial(choose_patches, tools, http, entry)):
        if await _try(tools, http, (choice, entry), cancelled):
            return Savings(1, choice.patch.size_bytes, entry.size_bytes, failed)
        failed += 1
    return Savings(failed=failed)


async def _try(tools: Tools, http: ServerHttp, what: tuple[Choice, FileEntry], cancelled: threading.Event) -> bool:
    choice, entry = what
    try:
        await _take(tools, http, what, cancelled)
    except DownloadCancelledError:
        raise
    except (DownloadError, OSError) as error:
        log.warning("A patch to %s… is of no use: %s", entry.sha256[:16], error)
        return False
    finally:
        await tools.machinery.in_thread("drop-patch", partial(_drop, tools, choice, entry))
    size, share = choice.patch.size_bytes, choice.patch.size_bytes / entry.size_bytes
    log.info("%s… came as a patch of %d bytes, %.1f %% of the whole", entry.sha256[:16], size, 100 * share)
    return True


def choose_patches(tools: Tools, http: ServerHttp, entry: FileEntry) -> list[Choice]:
    """The smallest patches that are worth it and start from a sound file on this device."""
    try:
        body, _ = http.get(f"/v1/artifacts/{entry.sha256}/patches", PATCH_LIST_MAX_BYTES)
        listed = msgspec.json.decode(body, type=PatchList).patches
    except (HttpError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        log.info("No patches to %s… are known: %s", entry.sha256[:16], error)
        return []
    begun = _partial(tools, entry.sha256)
    missing = entry.size_bytes - (begun.stat().st_size if begun.exists() else 0)
    worth = [patch for patch in listed if patch.size_bytes > 0 and is_worth_it(patch.size_bytes, missing)]
    choices = (_choice(tools, patch, entry) for patch in sorted(worth, key=lambda patch: patch.size_bytes))
    return [choice for choice in choices if choice is not None][:PATCH_TRIES]


def _choice(tools: Tools, patch: Patch, entry: FileEntry) -> Choice | None:
    known = {kind.value: kind for kind in PatchKind}
    if patch.kind not in known or not is_sha256(patch.sha256) or not _has_room(tools, patch, entry):
        return None
    if not patch.base:
        return Choice(patch, known[patch.kind], None)
    if not is_sha256(patch.base):
        return None
    base = tools.store.object_path(patch.base)
    try:
        size = base.stat().st_size
        sound = size <= PATCHED_MAX_BYTES and _has_memory(size + entry.size_bytes) and sha256_of_file(base) == patch.base
    except OSError:
        return None
    return Choice(patch, known[patch.kind], base) if sound else None


def _has_room(tools: Tools, patch: Patch, entry: FileEntry) -> bool:
    free = shutil.disk_usage(tools.home.folder).free
    return free >= patch.size_bytes + entry.size_bytes + tools.settings.disk_reserve_bytes


def _has_memory(needed: int) -> bool:
    return bool(needed <= _MEMORY_SHARE * psutil.virtual_memory().available)


async def _take(tools: Tools, http: ServerHttp, what: tuple[Choice, FileEntry], cancelled: threading.Event) -> None:
    """Fetch the patch, rebuild the file, verify it and put it in its place."""
    choice, entry = what
    patch, in_thread, disk = choice.patch, tools.machinery.in_thread, tools.store.disk
    fetched, rebuilt = _fetched(tools, choice, entry), _partial(tools, f"{entry.sha256}.rebuilt")
    wanted = Wanted(
        f"/v1/artifacts/{entry.sha256}/patches/{patch.sha256}",
        FileEntry(patch.sha256, patch.size_bytes),
        fetched,
        fetched.with_suffix(".fetching"),
    )
    patience = Patience(min(PATCH_PATIENCE_S, tools.settings.download_patience_s))
    await in_thread("download-patch", partial(fetch_file, http, wanted, cancelled=cancelled, patience=patience, disk=disk))
    request = RebuildRequest(choice.kind, str(choice.base or ""), str(fetched), str(rebuilt), entry.size_bytes)
    answer = await tools.machinery.rebuild(request)
    if answer.error:
        raise DownloadError(answer.error)
    if cancelled.is_set():
        raise DownloadCancelledError("the download was cancelled")
    await in_thread("verify-rebuilt", partial(put_in_place, entry, rebuilt, tools.store.object_path(entry.sha256), disk))


def _drop(tools: Tools, choice: Choice, entry: FileEntry) -> None:
    """What was only needed on the way; a part of a patch stays, for the case that the agent is ended here."""
    for path in (_fetched(tools, choice, entry), _partial(tools, f"{entry.sha256}.rebuilt")):
        with contextlib.suppress(OSError):  # the next download removes it
            tools.store.disk.remove(path)


def _fetched(tools: Tools, choice: Choice, entry: FileEntry) -> Path:
    return _partial(tools, f"{entry.sha256}.{choice.patch.sha256}.patch")


def _partial(tools: Tools, name: str) -> Path:
    return tools.home.objects / PARTIAL / name
