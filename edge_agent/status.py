"""What the running agent says of itself every few seconds, in `run/status.json`: for the status page and the doctor.

Numbers for programs, findings for people. The file is replaced without being forced to the disk: it
is worth nothing after the process, and must not wear out a card.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import msgspec

from contract.codec import encode, utc_now
from contract.messages import Health, ReportedSlot
from contract.states import HealthState, UpdateState
from edge_agent.findings import GOOD, NOTE, WRONG, Finding
from edge_agent.worker.messages import SinkState

STATUS_EVERY_S = 5.0
STALE_S = 30.0
AWAY_S = 120.0
_LEAST_BYTES = 64 << 10

log = logging.getLogger(__name__)
_FAILED = frozenset({UpdateState.FAILED, UpdateState.ROLLED_BACK})


class SlotStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """One slot: what it reported, and how its worker does. Latencies are of the last ten minutes, absent where none was measured."""

    reported: ReportedSlot
    answers: bool
    threads: int = 1
    completed: int = 0
    crashes: int = 0
    last_crash: str = ""
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    source_failure: str = ""
    unloaded: bool = False
    damaged: str = ""
    sinks: tuple[SinkState, ...] = ()  # those that are or were broken since the worker began


class FleetStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """The link to the fleet; `away_s` is how long it has been down, 0 while it is up."""

    device: str
    fleet: str
    connected: bool
    away_s: float = 0.0
    waiting: int = 0
    dropped: Mapping[str, int] = {}
    refusal: str = ""


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of `run/status.json`."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    at: str
    url: str
    health: Health
    findings: tuple[Finding, ...]
    slots: Mapping[str, SlotStatus]
    fleet: FleetStatus | None = None


class Known(NamedTuple):
    """Everything that a status is made of; `advice` belongs to the health's reasons."""

    url: str
    health: Health
    advice: Mapping[str, str]
    slots: Mapping[str, SlotStatus]
    quarantine: int = 0
    fleet: FleetStatus | None = None
    troubles: tuple[Finding, ...] = ()


def build_status(known: Known) -> Status:
    """The document, with its findings: the worst first."""
    findings = sorted(find_all(known), key=lambda finding: (WRONG, NOTE, GOOD).index(finding.verdict))
    return Status(Status.SCHEMA_VERSION, utc_now(), known.url, known.health, tuple(findings), known.slots, known.fleet)


def find_all(known: Known) -> list[Finding]:
    """What is to be said of the device, its slots and its fleet."""
    found = [_device(known, reason) for reason in known.health.reasons]
    if not found:
        found = [Finding("Device", GOOD, "healthy")]
    found += known.troubles
    for name, slot in known.slots.items():
        found += _slot(name, slot)
    if known.quarantine:
        text = f"{known.quarantine} digest(s) failed here and are not activated again"
        found.append(Finding("Quarantine", NOTE, text, "Publish a corrected version; a newer wish with `force` tries the same once more"))
    return found + (_fleet(known.fleet) if known.fleet is not None else [])


def _device(known: Known, reason: str) -> Finding:
    verdict = WRONG if known.health.state is HealthState.FAILING else NOTE
    return Finding("Device", verdict, reason, known.advice.get(reason, ""))


def _slot(name: str, slot: SlotStatus) -> list[Finding]:
    subject, current = f"Slot {name}", slot.reported.current
    if current is None:
        found = [Finding(subject, NOTE, "no model is installed", "`eyelet-agent install PACKAGE`, or a rollout of the fleet")]
        if slot.damaged:
            advice = "Install it again (a fleet sends it by itself), and see whether the disk is failing: `dmesg`"
            found = [Finding(subject, WRONG, f"{slot.damaged} is damaged on this disk, and there is no other version", advice)]
        return _update(subject, slot) + found
    model = f"{current.model} {current.version} ({slot.reported.variant}, {slot.threads} thread{'s' if slot.threads > 1 else ''})"
    found = [Finding(subject, GOOD, f"{model} answers; {slot.completed} inferences{_latency_words(slot)}")]
    if not slot.answers:
        advice = "It is started again by itself; the log (journalctl -u eyelet-agent) says more. Install another version if it goes on"
        found = [Finding(subject, WRONG, f"{model} does not answer{_because(slot.last_crash)}", advice)]
    elif slot.crashes:
        text = f"its worker ended {slot.crashes} time(s) in ten minutes{_because(slot.last_crash)}"
        found.append(Finding(subject, NOTE, text, "Look at the log for what came before; another variant may live: eyelet-agent tune"))
    if slot.unloaded:
        advice = f"POST /v2/repository/models/{current.model}/load loads it again, and so does a restart"
        found = [Finding(subject, NOTE, f"{model} was unloaded over HTTP and answers 503", advice)]
    if slot.source_failure:
        advice = "Check the device or path that the application names; the endpoint answers all the same"
        found.append(Finding(subject, WRONG, f"its source failed: {slot.source_failure}", advice))
    found += [_sink(subject, sink) for sink in slot.sinks if sink.reason]
    return found + _update(subject, slot)


def _sink(subject: str, sink: SinkState) -> Finding:
    since = f"since {sink.since[:19].replace('T', ' ')} UTC: {sink.reason}"
    waiting = f"{sink.waiting} record(s) wait"
    if not sink.lost:
        return Finding(subject, NOTE, f"its sink {sink.name} can not send {since}; {waiting}, none is lost yet", sink.advice)
    lost = f"{sink.lost} of {sink.offered} records are lost{f', {waiting}' if sink.waiting else ''}"
    return Finding(subject, WRONG, f"its sink {sink.name} is broken {since}; {lost}", sink.advice)


def _latency_words(slot: SlotStatus) -> str:
    if slot.latency_p50_ms is None or slot.latency_p95_ms is None:
        return ""
    return f", half of them within {slot.latency_p50_ms:.3g} ms, 95 % within {slot.latency_p95_ms:.3g} ms"


def _because(cause: str) -> str:
    return f" ({cause})" if cause else ""


def _update(subject: str, slot: SlotStatus) -> list[Finding]:
    update = slot.reported.update
    if update is None or update.state is UpdateState.DONE:
        return []
    what = f"update to {update.target.model} {update.target.version}: {update.state.value}"
    if update.state not in _FAILED:
        return [Finding(subject, NOTE, f"{what}: {update.detail}" if update.detail else what, "It goes on by itself")]
    why = f" ({update.reason.value}: {update.detail})" if update.reason is not None else ""
    return [Finding(subject, NOTE, f"{what}{why}", "What served before serves on; correct the version and publish it anew")]


def _fleet(fleet: FleetStatus) -> list[Finding]:
    found = []
    if fleet.connected:
        found.append(Finding("Fleet", GOOD, f"connected as {fleet.device} of {fleet.fleet}"))
    else:
        verdict = WRONG if fleet.away_s > AWAY_S else NOTE
        advice = "Check the network and whether the server runs; inference goes on, what is measured waits"
        found.append(Finding("Fleet", verdict, f"not connected for {fleet.away_s:.0f} s; {fleet.waiting} message(s) wait", advice))
    if fleet.dropped:
        lost = ", ".join(f"{count} {kind}" for kind, count in sorted(fleet.dropped.items()))
        found.append(
            Finding("Fleet", NOTE, f"dropped for want of space: {lost}", "Raise outbox_max_bytes in config.json, or connect more often")
        )
    if fleet.refusal:
        found.append(Finding("Fleet", WRONG, f"the last wish was refused: {fleet.refusal}", "The fleet's operator must see to it"))
    return found


class StatusWriter:
    """Replaces `run/status.json`."""

    def __init__(self, path: Path, gather: Callable[[], Known]) -> None:
        self._path = path
        self._gather = gather
        self._fails = False

    def write(self) -> None:
        """Once; a full disk is no reason to fail, and is said when it begins."""
        data = encode(build_status(self._gather()))
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        try:
            temporary.write_bytes(data + b"\n")
            temporary.replace(self._path)
        except OSError as error:
            if not self._fails:
                log.warning("What the status page shows can not be written: %s. The model answers all the same", error)
            self._fails = True
        else:
            self._fails = False

    def remove(self) -> None:
        """The agent ends."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def find_obstacle(folder: Path) -> Finding | None:
    """Why nothing can be written into a folder; None where nothing is known that stands against it."""
    try:
        found = os.statvfs(folder)
    except (OSError, AttributeError):
        return None
    if found.f_flag & os.ST_RDONLY:
        advice = "`mount -o remount,rw` it; where the system made it so by itself, `dmesg` says why, and the disk may be failing"
        return Finding("Disk", WRONG, "the file system is read-only", advice)
    if found.f_bavail * found.f_frsize < _LEAST_BYTES:
        return Finding("Disk", WRONG, "the disk is full", "Free some space; what serves goes on serving")
    return None


def read_status(path: Path) -> Status | None:
    """What the running agent said last; None where there is nothing that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
