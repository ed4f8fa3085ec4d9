"""The worker's end of the doorbell, as a source of samples: views of slots that are read in place and given back."""

import asyncio
import logging
import mmap
import os
import socket
from collections import deque
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edge_agent.frames.doorbell import Arrived, open_doorbell
from edge_agent.frames.messages import (
    Dropped,
    Ended,
    Frame,
    Hello,
    Leave,
    Left,
    Notice,
    Pool,
    Ring,
    Tensor,
    ToReader,
    Want,
    decode_to_reader,
    encode_ring,
)
from edge_agent.frames.shelf import DTYPES
from edge_agent.frames.slots import SlotError, map_slots
from edge_agent.sources.source import Item, SourceDropped, SourceError, SourceNotice, SourceSample

if TYPE_CHECKING:
    from edge_agent.frames.doorbell import Doorbell

VIEWS_MAX = 64
_DTYPES = {name: np.dtype(name) for name in DTYPES}

log = logging.getLogger(__name__)


class FrameSource:
    """One worker's share of what a capture process takes. A sample is valid until the next one is asked for; copy what stays."""

    live_slots = 0

    def __init__(self, descriptor: int) -> None:
        """The inherited descriptor of the doorbell, which is this object's now."""
        self._end = socket.socket(fileno=descriptor)
        self._doorbell: Doorbell | None = None
        self._arrived: deque[Arrived] = deque()
        self._news: asyncio.Future[None] | None = None  # somebody waits for it
        self._views: dict[tuple[Tensor, ...], dict[str, np.ndarray]] = {}  # there are few slots, and each is bound once
        self._gone = self._leaving = False
        self._memory: mmap.mmap | bytes = b""

    async def items(self) -> AsyncGenerator[Item, None]:
        """What is captured, until the source ends or this worker has left.

        Raises:
            SourceError: the source failed for good, or the capture process speaks nonsense.
        """
        self._doorbell = open_doorbell(self._end, self._hear, self._lose)
        try:
            if self._leaving:
                return
            while (arrived := await self._next()) is not None:
                message = _decode(arrived)
                if isinstance(message, (Left, Ended)):
                    _end_with(message)
                    return
                if isinstance(message, Frame):
                    yield self._sample(message, arrived)
                    self._ring(Want(message.epoch, message.sequence))
                elif (item := self._take(message, arrived)) is not None:
                    yield item
        finally:
            self._doorbell.close()

    def close(self) -> None:
        """Give the doorbell up, whether `items` was ever asked for or not."""
        if self._doorbell is not None:
            self._doorbell.close()
        else:
            self._end.close()

    def leave(self) -> None:
        """Take no more than what was rung already; `items` then ends."""
        self._leaving = True
        self._ring(Leave())

    def _ring(self, message: Ring) -> None:
        if self._doorbell is not None:
            self._doorbell.ring(encode_ring(message))

    def _hear(self, arrived: Arrived) -> None:
        self._arrived.append(arrived)
        self._wake()

    def _lose(self) -> None:
        self._gone = True
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _next(self) -> Arrived | None:
        while not self._arrived:
            if self._gone:
                return None
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        return self._arrived.popleft()

    def _take(self, message: ToReader, arrived: Arrived) -> Item | None:
        if isinstance(message, Hello) and not self._leaving:
            self._ring(Want(message.epoch, 0))
        elif isinstance(message, Pool):
            try:
                self._memory, self._views = map_slots(arrived.descriptor, message.size_bytes), {}
            except SlotError as error:
                raise SourceError(str(error)) from error
        elif isinstance(message, Dropped):
            return SourceDropped(message.name, message.reason, message.amount)
        elif isinstance(message, Notice):
            return SourceNotice(message.text, message.failed)
        return None

    def _sample(self, frame: Frame, arrived: Arrived) -> SourceSample:
        if (bound := self._views.get(frame.tensors)) is not None:
            return SourceSample(frame.name, bound.copy())
        place = arrived.payload or self._memory
        try:
            sample = {tensor.name: _view(place, tensor) for tensor in frame.tensors}
        except (KeyError, ValueError, OverflowError) as error:
            raise SourceError(f"the capture process gave a frame that lies nowhere: {error}") from error
        if not arrived.payload and len(self._views) < VIEWS_MAX:
            self._views[frame.tensors] = sample
        return SourceSample(frame.name, sample.copy())


def _view(place: mmap.mmap | bytes | bytearray, tensor: Tensor) -> np.ndarray:
    """An array in place; numpy refuses what would reach beyond it."""
    count = 1
    for length in tensor.shape:
        count *= length
    if count < 0 or min(tensor.shape, default=1) < 0:
        raise ValueError(f"a shape of {tensor.shape}")
    return np.frombuffer(place, _DTYPES[tensor.dtype], count, tensor.offset).reshape(tensor.shape)


def _decode(arrived: Arrived) -> ToReader:
    try:
        message = decode_to_reader(arrived.message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"the capture process speaks nonsense: {error}") from error
    if arrived.descriptor >= 0 and not isinstance(message, Pool):
        os.close(arrived.descriptor)
    return message


def _end_with(message: Left | Ended) -> None:
    if isinstance(message, Ended) and message.error:
        raise SourceError(message.error)
