"""The status page as HTML: sections of what is known, everything from outside escaped."""

import html
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from contract.messages import Health, VersionRef
from contract.states import UpdateState
from edge_agent.findings import GOOD, NOTE, WRONG, Finding
from edge_agent.serving.page_frame import render_frame
from edge_agent.status import STALE_S, FleetStatus, SlotStatus, Status
from edge_agent.worker.messages import WindowStats

_HEADLINES = {WRONG: "Something is wrong", NOTE: "It works, with something to see to", GOOD: "All is well"}
_TOP_CLASSES = 4
_CODE = re.compile(r"`([^`]+)`")


class ServedModel(NamedTuple):
    """What the process that answers this page knows: nothing of a model where it serves none."""

    model: str
    version: int
    variant: str
    windows: Sequence[WindowStats] = ()
    unloaded: bool = False


class Seen(NamedTuple):
    """Everything on the page. `age_s` is how long ago the supervisor spoke; None where it did not. `obstacle`: why it can not."""

    status: Status | None
    age_s: float | None
    served: ServedModel | None
    obstacle: Finding | None = None

    @property
    def findings(self) -> list[Finding]:
        """What is to be said, the worst first."""
        found = list(self.status.findings) if self.status is not None else []
        is_silent = self.age_s is None or abs(self.age_s) > STALE_S
        if is_silent and self.obstacle is not None:
            found.insert(0, msgspec.structs.replace(self.obstacle, text=f"{self.obstacle.text}, so the supervisor can not say how it is"))
        elif is_silent:
            said = "nothing yet" if self.age_s is None else f"nothing for {self.age_s:.0f} s"
            advice = "If this stays, look at the log (journalctl -u eyelet-agent) and restart the agent"
            found.insert(0, Finding("Agent", NOTE if self.age_s is None else WRONG, f"the supervisor has said {said}", advice))
        return found


def quantiles_ms(window: WindowStats) -> dict[str, float | None]:
    """Median and 95th percentile of a window's latencies, absent where nothing was measured."""
    quantiles = {name: window.latency_us.quantile(share) for name, share in (("p50", 0.5), ("p95", 0.95))}
    return {f"latency_{name}_ms": None if value is None else round(value / 1000, 3) for name, value in quantiles.items()}


def text(value: object) -> str:
    """Escaped; what stands between backticks is code."""
    return _CODE.sub(r"<code>\1</code>", html.escape(str(value), quote=True))


def render(seen: Seen) -> str:
    """The page."""
    findings = seen.findings
    worst = next((verdict for verdict in (WRONG, NOTE) if any(one.verdict == verdict for one in findings)), GOOD)
    status = seen.status
    sections = [_findings(findings), *_served(seen.served)]
    if status is not None:
        sections += [_slot(name, slot) for name, slot in status.slots.items()]
        sections += [_device(status.health), _fleet(status.fleet)]
    foot = f"as of {text(status.at)}, at {text(status.url)}" if status is not None else "the supervisor has not spoken yet"
    return render_frame(worst, _HEADLINES[worst], _title(seen), "\n".join(sections), foot)


def _title(seen: Seen) -> str:
    if seen.served is None:
        return "no model serves"
    unloaded = ", unloaded" if seen.served.unloaded else ""
    return f"{text(seen.served.model)} {seen.served.version} ({text(seen.served.variant)}{unloaded})"


def _findings(findings: Sequence[Finding]) -> str:
    order = sorted(findings, key=lambda finding: (WRONG, NOTE, GOOD).index(finding.verdict))
    return f"<ul class='findings'>{''.join(_finding(finding) for finding in order)}</ul>"


def _finding(finding: Finding) -> str:
    advice = f"<p class='advice'>{text(finding.advice)}</p>" if finding.advice else ""
    return f"<li class='{text(finding.verdict)}'><b>{text(finding.subject)}</b>: {text(finding.text)}{advice}</li>"


def _section(title: str, rows: Iterable[tuple[str, object]]) -> str:
    lines = "".join(f"<tr><th>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in rows if value not in {None, ""})
    return f"<section><h2>{text(title)}</h2><table>{lines}</table></section>"


def _served(served: ServedModel | None) -> list[str]:
    if served is None or not served.windows:
        return []
    head = ("since", "s", "count", "p50 ms", "p95 ms", "errors", "dropped", "too late", "drift", "most frequent")
    lines = [f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in _window_cells(window))}</tr>" for window in served.windows]
    top = "".join(f"<th>{cell}</th>" for cell in head)
    return [f"<section><h2>Last windows</h2><div class='wide'><table class='grid'><tr>{top}</tr>{''.join(lines)}</table></div></section>"]


def _window_cells(window: WindowStats) -> tuple[object, ...]:
    p50_ms, p95_ms = quantiles_ms(window).values()
    drift = "" if window.drift is None else f"{window.drift.score:.2f} {window.drift.state}"
    classes = sorted(window.class_counts.items(), key=lambda entry: -entry[1])[:_TOP_CLASSES]
    return (
        window.started_at[11:19],
        round(window.duration_s),
        window.count,
        "" if p50_ms is None else f"{p50_ms:.3g}",
        "" if p95_ms is None else f"{p95_ms:.3g}",
        window.errors,
        window.dropped,
        window.deadline_misses,
        drift,
        ", ".join(f"{name} {count}" for name, count in classes),
    )


def _slot(name: str, slot: SlotStatus) -> str:
    reported = slot.reported
    latency = None if slot.latency_p50_ms is None else f"half within {slot.latency_p50_ms:.3g} ms, 95 % within {slot.latency_p95_ms:.3g} ms"
    lost = "; ".join(f"{sink.name}: {sink.lost} of {sink.offered}" for sink in slot.sinks if sink.lost)
    crashes = f"{slot.crashes} in ten minutes; the last: {slot.last_crash}" if slot.crashes else None
    return _section(
        f"Slot {name}",
        (
            ("model", _version(reported.current) or "none is installed"),
            ("variant", reported.variant),
            ("answers", "unloaded" if slot.unloaded else "yes" if slot.answers else "no"),
            ("inferences", slot.completed),
            ("time of one", latency),
            ("crashes", crashes),
            ("records lost", lost),
            ("application", f"{reported.application} {reported.application_version}" if reported.application else None),
            ("last known good", _version(reported.last_known_good)),
            ("update", _update(slot)),
        ),
    )


def _version(version: VersionRef | None) -> str | None:
    return None if version is None else f"{version.model} {version.version} ({version.digest[:12]}…)"


def _update(slot: SlotStatus) -> str | None:
    update = slot.reported.update
    if update is None:
        return None
    why = f" ({update.reason.value})" if update.reason is not None else ""
    detail = f": {update.detail}" if update.detail and update.state is not UpdateState.DONE else ""
    return f"to {update.target.model} {update.target.version}: {update.state.value.replace('_', ' ')}{why}{detail}"


def _device(health: Health) -> str:
    throttled = None if not health.throttled_bits else f"yes ({health.throttled_bits:#x}): too little power, or too hot"
    return _section(
        "Device",
        (
            ("health", health.state.value),
            ("processor", f"{health.cpu_percent:.0f} %"),
            ("memory", f"{_bytes(health.memory_available_bytes)} of {_bytes(health.memory_total_bytes)} free"),
            ("agent's memory", _bytes(health.agent_memory_bytes)),
            ("disk", f"{_bytes(health.disk_free_bytes)} free"),
            ("temperature", None if health.temperature_c is None else f"{health.temperature_c:.0f} °C"),
            ("throttled", throttled),
            ("GPU", None if health.gpu_load_percent is None else f"{health.gpu_load_percent:.0f} %"),
            ("power", None if health.power_w is None else f"{health.power_w:.1f} W"),
            ("agent", f"{health.agent_version}, up for {_duration(health.uptime_s)}"),
        ),
    )


def _fleet(fleet: FleetStatus | None) -> str:
    if fleet is None:
        return _section("Fleet", (("fleet", "this device belongs to none"),))
    dropped = ", ".join(f"{count} {kind}" for kind, count in sorted(fleet.dropped.items()))
    return _section(
        "Fleet",
        (
            ("device", f"{fleet.device} of {fleet.fleet}"),
            ("link", "connected" if fleet.connected else f"not connected for {_duration(fleet.away_s)}"),
            ("outbox", f"{fleet.waiting} message(s) wait"),
            ("dropped", dropped),
            ("refused", fleet.refusal),
        ),
    )


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004  (SI)
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _duration(seconds: float) -> str:
    minutes, hours = divmod(int(seconds) // 60, 60)[::-1]
    if not hours:
        return f"{seconds:.0f} s" if not minutes else f"{minutes} min"
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"  # noqa: PLR2004  (hours)
