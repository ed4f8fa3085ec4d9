"""A rollout drawn for a terminal, and the loop that watches it."""

import time

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from contract.codec import encode
from contract.rest import RolloutView
from contract.states import FINAL_ROLLOUT_STATES, GateVerdict, RolloutState
from fleet_server.client import FleetClient
from fleet_server.commands.asking import show

_STYLES = {GateVerdict.PASS: "green", GateVerdict.WAIT: "yellow", GateVerdict.FAIL: "bold red"}
DEVICES_SHOWN = 40


def picture(view: RolloutView) -> Group:
    """Head, gates, arms, devices, verdict."""
    spec = view.spec
    versions = f"{spec.version} against {spec.control_version}" if spec.control_version is not None else str(spec.version)
    head = Text.assemble(
        (f"{view.rollout} {spec.name}", "bold"),
        f"  {spec.model} {versions}  phase {view.phase + 1}/{len(spec.phases)}  ",
        (view.state.value, "green" if view.state is RolloutState.SUCCEEDED else "bold"),
        f"  {view.state_reason}",
    )
    parts: list[RenderableType] = [head, _gates(view), _arms(view), _devices(view)]
    said = [found.text for found in (view.paired, view.verdict) if found is not None]
    return Group(*parts, *(Text(text) for text in said))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _gates(view: RolloutView) -> Table:
    table = _table("gate", "verdict", "reason")
    for gate in view.gates:
        table.add_row(gate.gate, Text(gate.verdict.value, _STYLES[gate.verdict]), Text(gate.reason))
    return table


def _arms(view: RolloutView) -> Table:
    table = _table("arm", "version", "devices", "inferences", "errors", "p50 ms", "p95 ms", "confidence", "classes")
    for arm in view.arms:
        classes = " ".join(f"{name}:{count}" for name, count in list(arm.class_counts.items())[:12])
        cells = (arm.version, len(arm.devices), arm.inferences, arm.errors, arm.latency_p50_ms, arm.latency_p95_ms, arm.mean_confidence)
        table.add_row(arm.arm, *(show(cell) for cell in cells), Text(classes))
    return table


def _devices(view: RolloutView) -> Table:
    table = _table("device", "arm", "phase", "state", "reason")
    for found in view.assignments[:DEVICES_SHOWN]:
        style = "red" if found.failed else "green" if found.settled else ""
        by = f"rolled back by the {found.rolled_back_by}" if found.rolled_back_by else ""
        reason = "; ".join(part for part in (found.reason, found.detail, by) if part)
        table.add_row(found.device, found.arm, str(found.phase + 1), Text(found.state.value if found.state else "–", style), Text(reason))
    if len(view.assignments) > DEVICES_SHOWN:
        table.add_row(f"and {len(view.assignments) - DEVICES_SHOWN} more", "", "", "", "")
    return table


def watch_rollout(client: FleetClient, name: str, every_s: float, timeout_s: float, *, as_json: bool) -> RolloutView:
    """Look again and again until the rollout is over; a live table on a terminal, a line per change elsewhere."""
    deadline = time.monotonic() + timeout_s if timeout_s else None
    console = Console()
    live = Live(console=console, auto_refresh=False) if console.is_terminal and not as_json else None
    last = ""
    if live:
        live.start()
    try:
        while True:
            view = client.get(f"/v1/rollouts/{name}", RolloutView)
            if live:
                live.update(picture(view), refresh=True)
            else:
                last = _print_change(view, last, as_json=as_json)
            over = view.state in FINAL_ROLLOUT_STATES
            if over or (deadline is not None and time.monotonic() >= deadline):
                return view
            time.sleep(every_s)
    finally:
        if live:
            live.stop()


def _print_change(view: RolloutView, last: str, *, as_json: bool) -> str:
    states = ", ".join(f"{found.device} {found.state.value if found.state else 'waiting'}" for found in view.assignments[:DEVICES_SHOWN])
    line = f"{view.rollout} {view.state.value}, phase {view.phase + 1}/{len(view.spec.phases)}: {states}. {view.state_reason}"
    line += f" ({view.paired.text})" if view.paired is not None else ""
    if as_json:
        body = encode(view).decode()
        if line != last:
            click.echo(body)
    elif line != last:
        click.echo(line)
    return line
