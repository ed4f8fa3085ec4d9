"""Bounds of the embedded listener, and a gate against addresses that keep sending rubbish."""

import collections
from dataclasses import dataclass

from contract.codec import MESSAGE_MAX_BYTES

HEADER_MAX_BYTES = 4096


@dataclass(frozen=True)
class Limits:
    """Everything that a client could otherwise make grow without end."""

    payload_bytes: int = MESSAGE_MAX_BYTES
    connect_bytes: int = 16 * 1024  # of the CONNECT packet, before anybody is authenticated
    connections: int = 5000
    connect_timeout_s: float = 5.0
    keep_alive_s: int = 3600  # the longest, also for clients that ask for none
    session_expiry_s: int = 7 * 86400
    sessions_per_name: int = 16
    subscriptions_per_session: int = 64
    in_flight: int = 256  # QoS 1 messages sent and not yet acknowledged
    queued_messages: int = 10_000  # per session, beyond those in flight
    queued_bytes: int = 16 << 20
    unsent_bytes: int = 8 << 20  # in the socket's buffer, before a slow client is cut off
    retained_messages: int = 100_000
    retained_bytes: int = 512 << 20
    malformed_connects: int = 60  # per address within `malformed_window_s`
    malformed_window_s: float = 60.0
    sweep_s: float = 0.5

    @property
    def packet_bytes(self) -> int:
        """The longest packet that is read."""
        return self.payload_bytes + HEADER_MAX_BYTES


class FailureGate:
    """Counts failures per address in a sliding window; an address at its limit is turned away until they age.

    Clients that are already connected from that address go on.
    """

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._failures: dict[str, collections.deque[float]] = {}

    def note(self, address: str, now: float) -> None:
        """Count one failure at `now`, in seconds of a monotonic clock."""
        times = self._failures.setdefault(address, collections.deque(maxlen=self._limit))
        times.append(now)

    def is_open(self, address: str, now: float) -> bool:
        """Whether a connection from `address` is let in."""
        times = self._failures.get(address)
        if times is None:
            return True
        while times and times[0] <= now - self._window_s:
            times.popleft()
        return len(times) < self._limit

    def sweep(self, now: float) -> None:
        """Forget addresses without recent failures."""
        for address in [address for address, times in self._failures.items() if not times or times[-1] <= now - self._window_s]:
            del self._failures[address]
