"""The serving worker's side of a shadow run: hands a share of its samples, each with its answer, to the candidate.

It never makes an answer wait: a frame that the socket and a bounded buffer do not take is dropped and
counted, and what it costs is bounded per second. When the candidate goes away, so does the tap.
"""

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from contract.codec import utc_now
from edge_agent.engine.engine import Prediction, Sample
from edge_agent.worker.handover import take_over
from edge_agent.worker.messages import BeginPairing, EndPairing
from edge_agent.worker.shadow_frames import FRAME_MAX_BYTES, encode_pair, size_of

if TYPE_CHECKING:
    from edge_agent.worker.inference import Inference

PAIRS_PER_S = 100.0
LARGE_BYTES = 256 * 1024
LARGE_PER_S = 4.0
WAITING_MAX_BYTES = FRAME_MAX_BYTES
"""What may wait in this process for a candidate that is slow."""

log = logging.getLogger(__name__)


class Pace:
    """At most so many a second, on the average and in a burst."""

    def __init__(self, per_s: float, now_s: float) -> None:
        self._per_s = per_s
        self._tokens = per_s
        self._at_s = now_s

    def allows(self, now_s: float) -> bool:
        """Whether one more may go at `now_s`, which is then noted."""
        self._tokens = min(self._per_s, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class ShadowTap(asyncio.Protocol):
    """See the module; made by `open_tap`."""

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.dropped = 0
        self.is_open = True
        self._share = share
        self._transport: asyncio.Transport | None = None
        self._clock = clock
        self._pace, self._large_pace = Pace(PAIRS_PER_S, clock()), Pace(LARGE_PER_S, clock())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready."""
        self._transport = transport if isinstance(transport, asyncio.Transport) else None

    def connection_lost(self, exc: Exception | None) -> None:
        """The candidate is gone."""
        del exc
        self.is_open = False

    def offer(self, sample: Sample, prediction: Prediction, source: str) -> None:
        """Perhaps hand it over; whatever goes wrong here must not cost the answer."""
        if self._share < 1 and random.random() >= self._share:  # noqa: S311  (which samples are paired is no secret)
            return
        try:
            taken = self._take(sample, prediction, source)
        except Exception:
            log.exception("a sample could not be handed to the candidate; no more are")
            self.close()
            return
        self.dropped += not taken

    def _take(self, sample: Sample, prediction: Prediction, source: str) -> bool:
        transport, size, now_s = self._transport, size_of(sample), self._clock()
        if transport is None or not self.is_open:
            return False
        if size + transport.get_write_buffer_size() > WAITING_MAX_BYTES:
            return False
        if not self._pace.allows(now_s) or (size > LARGE_BYTES and not self._large_pace.allows(now_s)):
            return False
        transport.write(encode_pair(sample, prediction, at=utc_now(), source=source, dropped=self.dropped))
        return True

    def close(self) -> None:
        """Hand no more; what waits is thrown away."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()


async def open_tap(descriptor: int, share: float, clock: Callable[[], float] = time.monotonic) -> ShadowTap:
    """A tap into a connected socket, which from now on belongs to it; raises OSError."""
    tap, connection = ShadowTap(share, clock), socket.socket(fileno=descriptor)
    try:
        await asyncio.get_running_loop().create_connection(lambda: tap, sock=connection)
    except BaseException:
        connection.close()
        raise
    return tap


async def obey_pairing(message: BeginPairing | EndPairing, door: socket.socket | None, inference: "Inference") -> None:
    """What the supervisor says of a shadow run; one that can not begin is no reason to stop serving."""
    inference.set_tap(None)
    if isinstance(message, EndPairing) or door is None:
        return
    try:
        inference.set_tap(await open_tap(take_over(door), message.share))
    except OSError as error:
        log.warning("the candidate gets no samples: %s", error)
