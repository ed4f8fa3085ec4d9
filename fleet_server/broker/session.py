"""What the listener keeps of one client across connections: subscriptions, messages in flight and queued."""

import collections
import itertools
import logging
from dataclasses import dataclass
from typing import Protocol

from fleet_server.broker.access import Identity
from fleet_server.broker.limits import Limits
from fleet_server.broker.messages import Message, SessionKey

logger = logging.getLogger(__name__)
PACKET_IDS = 65535


@dataclass(frozen=True)
class Subscription:
    """Options of one filter of one session."""

    qos: int
    no_local: bool = False
    retain_as_published: bool = False


class Link(Protocol):
    """The connection that a session has at present."""

    max_packet_bytes: int

    def send(self, data: bytes) -> None:
        """Write one packet."""

    def take_over(self) -> None:
        """Tell the client that another one took its session, and close."""


@dataclass(frozen=True)
class _Delivery:
    message: Message
    retain: bool


class Session:
    """One client's session. Times are in seconds of the listener's monotonic clock.

    QoS 1 messages keep their order: sent and unacknowledged ones in `in_flight`, the rest in a queue
    that drops its oldest when full, since the newest word is the one that counts.
    """

    def __init__(self, key: SessionKey, identity: Identity, limits: Limits) -> None:
        self.key = key
        self.identity = identity
        self.subscriptions: dict[str, Subscription] = {}
        self.expiry_s = 0
        self.ends_at: float | None = None  # set while no client is connected
        self.will: tuple[float, Message] | None = None  # a will that waits for its delay
        self.link: Link | None = None
        self.dropped = 0
        self._limits = limits
        self._window = 0
        self._in_flight: dict[int, _Delivery] = {}
        self._queue: collections.deque[_Delivery] = collections.deque()
        self._queued_bytes = 0
        self._ids = itertools.cycle(range(1, PACKET_IDS + 1))

    @property
    def queued(self) -> int:
        """Messages in flight or waiting."""
        return len(self._in_flight) + len(self._queue)

    def attach(self, link: Link, receive_max: int) -> None:
        """A client is connected: nothing is sent before `resume`."""
        self.link, self.ends_at, self.will = link, None, None
        self._window = min(receive_max, self._limits.in_flight)

    def resume(self, now: float) -> None:
        """Send again what was not acknowledged, marked DUP, then what waited."""
        for packet_id, delivery in list(self._in_flight.items()):
            self._send(delivery, now, packet_id=packet_id, duplicate=True)
        self._pump(now)

    def deliver(self, message: Message, qos: int, now: float, *, retain: bool) -> None:
        """Send, or queue at QoS 1, one message for this client."""
        delivery = _Delivery(message, retain)
        if qos:
            self._enqueue(delivery)
            self._pump(now)
        elif self.link is not None:
            self._send(delivery, now)

    def acknowledge(self, packet_id: int, now: float) -> bool:
        """The client has a message; False where none with this id was in flight."""
        known = self._in_flight.pop(packet_id, None) is not None
        self._pump(now)
        return known

    def _enqueue(self, delivery: _Delivery) -> None:
        self._queue.append(delivery)
        self._queued_bytes += delivery.message.size_bytes
        while len(self._queue) > self._limits.queued_messages or self._queued_bytes > self._limits.queued_bytes:
            self._queued_bytes -= self._queue.popleft().message.size_bytes
            self.dropped += 1
            if self.dropped == 1:
                logger.warning("The queue of %s is full; its oldest messages are dropped", self.key[0])

    def _pump(self, now: float) -> None:
        while self.link is not None and self._queue and len(self._in_flight) < self._window:
            delivery = self._queue.popleft()
            self._queued_bytes -= delivery.message.size_bytes
            if delivery.message.expires_at > now:
                packet_id = next(number for number in self._ids if number not in self._in_flight)
                self._in_flight[packet_id] = delivery
                self._send(delivery, now, packet_id=packet_id)

    def _send(self, delivery: _Delivery, now: float, *, packet_id: int | None = None, duplicate: bool = False) -> None:
        if self.link is None:
            return
        data = delivery.message.encode(now, retain=delivery.retain, packet_id=packet_id, duplicate=duplicate)
        if len(data) <= self.link.max_packet_bytes:
            self.link.send(data)
        elif packet_id is not None:  # the standard: as if it had been sent
            self._in_flight.pop(packet_id, None)
