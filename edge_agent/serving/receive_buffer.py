"""The memory that a connection receives into, and that small bodies are read from in place."""

import sys

BUFFER_BYTES = 64 * 1024


class ReceiveBuffer:
    """`filled` bytes of `data` were received and are not yet taken.

    A body that is read in place shares this memory. Whoever still holds it when the next bytes come keeps
    it: then there is a new one, which the number of references tells (a slice of `view` would not: it adds none).
    """

    __slots__ = ("_alone", "data", "filled", "view")

    def __init__(self, size_bytes: int = BUFFER_BYTES) -> None:
        self.filled = 0
        self._make(size_bytes)

    def _make(self, size_bytes: int) -> None:
        self.data = bytearray(size_bytes)
        self.view = memoryview(self.data)
        self._alone = sys.getrefcount(self.data)

    def free(self) -> memoryview:
        """Where the next bytes go."""
        if self.filled:
            return self.view[self.filled :]
        if sys.getrefcount(self.data) != self._alone:
            self._make(len(self.data))
        return self.view

    def in_place(self, begin: int, end: int) -> memoryview:
        """Received bytes to hold for as long as one likes; only where nothing else is in the buffer, see `take`."""
        return memoryview(self.data)[begin:end]

    def take(self, begin: int, end: int) -> bytes | memoryview:
        """The bytes from `begin` to `end`, which with all before them are no longer in the buffer."""
        if self.filled == end:
            self.filled = 0
            return memoryview(self.data)[begin:end]
        taken = bytes(self.view[begin:end])
        self.shift(end)
        return taken

    def shift(self, used: int) -> None:
        """Forget the first bytes."""
        rest = self.filled - used
        if rest:
            self.view[:rest] = bytes(self.view[used : self.filled])
        self.filled = rest

    def grow(self, size_bytes: int) -> None:
        """Have room for so many bytes."""
        before, filled = self.view, self.filled
        self._make(size_bytes)
        self.view[:filled] = before[:filled]
