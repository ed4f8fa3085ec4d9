"""The agent looks at itself: sensors, slots and link, gathered for the health message and for `run/status.json`."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from contract.messages import Health, ReportedSlot
from contract.sketches import Histogram
from edge_agent import health
from edge_agent.fleet_desk import FleetDesk
from edge_agent.hardware import agent_version
from edge_agent.sensors import Readings, Sensors
from edge_agent.status import FleetStatus, Known, SlotStatus
from edge_agent.update.records import Installed
from edge_agent.window_book import WindowBook
from edge_agent.worker_keeper import WorkerKeeper

READINGS_LAST_S = 2.0


class WatchedSlot(Protocol):
    """What is asked of a slot."""

    keeper: WorkerKeeper
    damaged: str

    def book(self) -> WindowBook | None:
        """Measurements of the version that serves."""

    def source_failure(self, installed: Installed) -> str:
        """Why the source of a version's application failed."""


class SelfWatch:
    """Reads sensors (not more often than every two seconds) and asks the slots."""

    def __init__(self, sensors: Sensors, boot_id: str, slots: Callable[[], Mapping[str, WatchedSlot]]) -> None:
        self._sensors = sensors
        self._boot_id = boot_id
        self._slots = slots
        self._begun_s = time.monotonic()
        self._read_s = float("-inf")
        self._readings: Readings | None = None
        self._connected_s = self._begun_s

    def _read(self) -> Readings:
        now_s = time.monotonic()
        if self._readings is None or now_s - self._read_s > READINGS_LAST_S:
            self._readings, self._read_s = self._sensors.read(), now_s
        return self._readings

    def _serving(self) -> health.Serving:
        keepers = [slot.keeper for slot in self._slots().values()]
        wanted = [keeper for keeper in keepers if keeper.wants_to_serve]
        crashes = sum(keeper.lives.crashes() for keeper in keepers)
        return health.Serving(len(wanted), sum(keeper.is_answering for keeper in wanted), crashes)

    def health(self, desk: FleetDesk | None) -> Health:
        """The health message as of now."""
        depth, dropped = (desk.outbox.depth, desk.outbox.dropped) if desk is not None else (0, 0)
        agent = health.Agent(self._boot_id, agent_version(), time.monotonic() - self._begun_s, depth, dropped)
        return health.build_health(self._read(), self._serving(), agent)

    def known(self, url: str, reported: Mapping[str, ReportedSlot], quarantine: int, desk: FleetDesk | None) -> Known:
        """Everything that the status says."""
        return Known(
            url=url,
            health=self.health(desk),
            advice=health.find_reasons(self._read(), self._serving()),
            slots={name: _slot_status(slot, reported[name]) for name, slot in self._slots().items()},
            quarantine=quarantine,
            fleet=self._fleet(desk) if desk is not None else None,
        )

    def _fleet(self, desk: FleetDesk) -> FleetStatus:
        now_s = time.monotonic()
        if desk.is_connected:
            self._connected_s = now_s
        away_s = round(now_s - self._connected_s, 1)
        outbox = desk.outbox
        return FleetStatus(desk.device, desk.fleet, desk.is_connected, away_s, outbox.depth, outbox.drops, desk.refusal)


def _slot_status(slot: WatchedSlot, reported: ReportedSlot) -> SlotStatus:
    keeper, book = slot.keeper, slot.book()
    latency = book.recent_latency() if book is not None else Histogram((), [0])
    serving, manner = keeper.serving, keeper.manner
    return SlotStatus(
        reported=reported,
        answers=keeper.is_answering,
        threads=manner.threads if manner is not None else 1,
        completed=keeper.completed,
        crashes=keeper.lives.crashes(),
        last_crash=keeper.lives.last_crash,
        latency_p50_ms=_milliseconds(latency.quantile(0.5)),
        latency_p95_ms=_milliseconds(latency.quantile(0.95)),
        source_failure=slot.source_failure(serving.installed) if serving is not None else "",
        unloaded=keeper.unloaded,
        damaged=slot.damaged,
        sinks=book.sinks.states(keeper.pid) if book is not None else (),
    )


def _milliseconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1000, 4)
