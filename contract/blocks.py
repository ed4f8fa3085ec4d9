"""Digests of an artifact's blocks, served beside it: hints that find the damaged part of a download, never a proof.

Nobody signs them. Whoever fetches a file believes its whole SHA-256 alone; a wrong list costs a
repetition and nothing else.
"""

import hashlib
from pathlib import Path

import msgspec

from contract.manifest import Sha256

BLOCK_BYTES = 1 << 20
"""What a server uses; a reader takes any length from `BLOCK_LEAST_BYTES`."""
BLOCK_LEAST_BYTES = 1 << 16
BLOCK_LIST_MAX_BYTES = 256 * 1024


class BlockList(msgspec.Struct, frozen=True):
    """Answer of `/v1/artifacts/<sha256>/blocks`: one SHA-256 per block, the last of which may be shorter."""

    block_bytes: int
    sha256: tuple[Sha256, ...]

    def fits(self, size_bytes: int) -> bool:
        """Whether it can be the list of a file of this length."""
        return self.block_bytes >= BLOCK_LEAST_BYTES and len(self.sha256) == -(-size_bytes // self.block_bytes)


def block_list_of(path: Path, block_bytes: int = BLOCK_BYTES) -> BlockList:
    """The list of a file, read block by block."""
    digests = []
    with path.open("rb") as file:
        while block := file.read(block_bytes):
            digests.append(hashlib.sha256(block).hexdigest())
    return BlockList(block_bytes, tuple(digests))
