"""Check a file block by block while it grows, so that a damaged block is found where it is and fetched alone.

The list of block digests comes from the server and nobody vouches for it: the whole digest decides
at the end, and a list that accuses the same block again and again is set aside.
"""

import hashlib
from pathlib import Path

from contract.blocks import BlockList
from contract.files import CHUNK_BYTES

BLOCK_TRIES = 3
"""So often the same block may be wrong; then either the list or the server lies, and the whole digest will tell."""


class WrongBlockError(Exception):
    """The block that begins at `start` is not what the list says; everything before it is."""

    def __init__(self, start: int) -> None:
        super().__init__(f"the block at byte {start} is damaged")
        self.start = start


class BlockCheck:
    """The running check of one file of `size_bytes`."""

    def __init__(self, blocks: BlockList, size_bytes: int) -> None:
        self._blocks = blocks
        self._size_bytes = size_bytes
        self._tries: dict[int, int] = {}
        self._begin()

    def _begin(self) -> None:
        self._done = 0
        self._hash = hashlib.sha256()

    @property
    def done_bytes(self) -> int:
        """How much of the file was seen."""
        return self._done

    def read(self, path: Path) -> None:
        """Check what is there already and go on from its end.

        Raises:
            WrongBlockError: a whole block in it is damaged.
        """
        self._begin()
        if path.exists():
            with path.open("rb") as file:
                while piece := file.read(CHUNK_BYTES):
                    self.add(piece)

    def add(self, piece: bytes) -> None:
        """The next bytes of the file.

        Raises:
            WrongBlockError: they end a block that is damaged.
        """
        view = memoryview(piece)
        while view:
            start = self._done - self._done % self._blocks.block_bytes
            end = min(start + self._blocks.block_bytes, self._size_bytes)
            part, view = view[: end - self._done], view[end - self._done :]
            self._hash.update(part)
            self._done += len(part)
            if self._done == end:
                self._close_block(start)

    def _close_block(self, start: int) -> None:
        found, self._hash = self._hash.hexdigest(), hashlib.sha256()
        if found != self._blocks.sha256[start // self._blocks.block_bytes]:
            self._tries[start] = self._tries.get(start, 0) + 1
            raise WrongBlockError(start)

    def is_worn_out(self, start: int) -> bool:
        """Whether this block was wrong so often that the list is not believed any more."""
        return self._tries.get(start, 0) >= BLOCK_TRIES
