"""What is derived from artifacts: lists of block digests and patches. All of it may be deleted at any time and is made again.

`<data>/derived/blocks/<sha256>.json`; `<data>/derived/patches/<sha256>/index.json` with the patches
of that target beside it, each under its own SHA-256.
"""

import contextlib
import logging
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from contract.blocks import block_list_of
from contract.codec import encode
from contract.deltas import PATCHES_MAX, Patch, PatchList
from contract.errors import ContractError
from contract.files import check_file, read_bounded, sha256_of, write_atomic
from contract.names import is_sha256
from fleet_server.errors import NotFoundError
from fleet_server.store.artifacts import ArtifactStore

INDEX_MAX_BYTES = 256 * 1024
PATCHES_MAX_BYTES = 4 << 30
DISK_RESERVE_BYTES = 1 << 30
_INDEX = "index.json"
_LOG = logging.getLogger(__name__)


class PatchIndex(msgspec.Struct, frozen=True, omit_defaults=True):
    """The patches of one target, and the bases that were tried, whether or not a patch came of it."""

    patches: tuple[Patch, ...] = ()
    tried: tuple[str, ...] = ()


class DerivedFiles:
    """The folder `derived` beside an artifact store."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self.folder = artifacts.folder.with_name("derived")
        self._making_blocks = threading.Lock()

    def blocks_of(self, sha256: str) -> bytes:
        """The list of an artifact's blocks as JSON, made at the first time.

        Raises:
            NotFoundError: there is no such artifact.
        """
        path = self._artifacts.path_of(sha256)
        kept = self.folder / "blocks" / f"{sha256}.json"
        if not path.is_file():
            raise NotFoundError(f"the artifact {sha256[:16]}… is not here")
        with self._making_blocks:  # many devices ask for the same new file at once
            with contextlib.suppress(OSError, ContractError):
                return read_bounded(kept, INDEX_MAX_BYTES)
            return self._make_blocks(path, kept)

    def _make_blocks(self, path: Path, kept: Path) -> bytes:
        body = encode(block_list_of(path))
        try:
            write_atomic(kept, body)
        except OSError as error:
            _LOG.warning("A list of blocks could not be kept: %s", error)
        return body

    def index_of(self, target: str) -> PatchIndex:
        """What is known of a target's patches; nothing where the index is missing or damaged."""
        if not is_sha256(target):
            raise NotFoundError(f"{target[:80]!r} is no SHA-256", "Use 64 lower-case hexadecimal digits.")
        try:
            return msgspec.json.decode(read_bounded(self._place(target) / _INDEX, INDEX_MAX_BYTES), type=PatchIndex)
        except (OSError, ContractError, msgspec.DecodeError):
            return PatchIndex()

    def patches_of(self, target: str) -> bytes:
        """Answer of `/v1/artifacts/<sha256>/patches`: those whose files are there, the smallest first."""
        there = [patch for patch in self.index_of(target).patches if self.find_patch(target, patch.sha256) is not None]
        return encode(PatchList(tuple(sorted(there, key=lambda patch: patch.size_bytes)[:PATCHES_MAX])))

    def find_patch(self, target: str, sha256: str) -> Path | None:
        """Where a patch lies; None where it is not there."""
        path = self._place(target) / sha256
        return path if is_sha256(target) and is_sha256(sha256) and path.is_file() else None

    def add(self, target: str, base: str, made: Iterable[tuple[Patch, Path]]) -> None:
        """Take patches over from their temporary files, and note that this base was tried."""
        index, patches = self.index_of(target), []
        for patch, path in made:
            check_file(path, patch.sha256, patch.size_bytes)
            path.replace(self._place(target) / patch.sha256)
            patches.append(patch)
        kept = tuple(patch for patch in index.patches if patch.base != base)
        new = PatchIndex((*kept, *patches), tuple(dict.fromkeys([*index.tried, base])))
        write_atomic(self._place(target) / _INDEX, encode(new))

    def scratch(self, target: str) -> Path:
        """The folder of a target's patches, where also their temporary files belong."""
        folder = self._place(target)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def has_room(self) -> bool:
        """Whether more patches may be kept: neither their own limit nor that of the disk is reached."""
        sizes = [path.stat().st_size for path in (self.folder / "patches").glob("*/*")]
        return sum(sizes) < PATCHES_MAX_BYTES and shutil.disk_usage(self._artifacts.folder).free > DISK_RESERVE_BYTES

    def keep_only(self, targets: Iterable[str]) -> None:
        """Remove the patches of all other targets, and what a killed server left half made."""
        kept, parent = set(targets), self.folder / "patches"
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            listed = {patch.sha256 for patch in self.index_of(folder.name).patches}
            for path in folder.iterdir():
                if path.name != _INDEX and path.name not in listed:
                    path.unlink(missing_ok=True)

    def _place(self, target: str) -> Path:
        return self.folder / "patches" / target


def describe_patch(base: str, kind: str, data: bytes) -> Patch:
    """A patch as the list names it."""
    return Patch(base, kind, len(data), sha256_of(data))
