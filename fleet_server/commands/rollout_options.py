"""The options of `eyelet-fleet rollout create` as a spec of the contract."""

import difflib
from pathlib import Path
from typing import Any

import click
import msgspec

from contract.codec import decode
from contract.files import read_bounded
from contract.messages import Telemetry, UpdatePolicy
from contract.pairs import SHADOW_PATIENCE
from contract.rest import GateSpec, PhaseSpec, RolloutSpec

WINDOWS = ("download_windows", "activation_windows")
DEVICE_DEADLINE_S = 86400.0
LONGEST_WAIT_S = 7 * 86400.0
"""From one opening of a weekly window to the next."""


def read_spec(path: Path) -> RolloutSpec:
    """A whole spec from a JSON file."""
    return decode(read_bounded(path, 1 << 20), RolloutSpec, str(path))


def build_spec(options: dict[str, Any]) -> RolloutSpec:
    """A spec from the options of `rollout create`; wrong ones are a wrong usage."""
    if not options["model"] or options["version"] < 1:
        raise click.UsageError("give MODEL and VERSION, or --spec")
    application, _, application_version = options["application"].partition(":")
    control, _, treatment = options["weights"].partition(":")
    return RolloutSpec(
        name=options["name"] or f"{options['model']}-{options['version']}",
        model=options["model"],
        version=options["version"],
        phases=tuple(_phase(text) for text in options["phases"]) or (PhaseSpec(10_000),),
        control_version=options["control"],
        control_weight=int(_number(control, "--weights")),
        treatment_weight=int(_number(treatment, "--weights")),
        devices=options["devices"],
        application=application,
        application_version=int(_number(application_version or "0", "--application")),
        gates=read_settings(GateSpec, options["gates"], "--gate"),
        policy=_policy(options),
        telemetry=read_settings(Telemetry, options["telemetry"], "--telemetry"),
        on_failure=options["on_failure"],
        stagger_s=options["stagger_s"],
        approval=options["approval"],
        start=not options["no_start"],
        device_deadline_s=_device_deadline_s(options),
        force=options["force"],
        agent_min_version=_agent_version(options["agent_min_version"]),
    )


def _policy(options: dict[str, Any]) -> UpdatePolicy:
    policy: UpdatePolicy = read_settings(UpdatePolicy, options["policy"], "--policy")
    windows = {name: options[name] for name in WINDOWS if options[name]}
    try:
        return msgspec.structs.replace(policy, **windows)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _agent_version(text: str) -> str:
    if text and not text[0].isdigit():
        raise click.UsageError(f"--agent-min-version: {text!r} is no version; expected numbers with points, like 0.2.0")
    return text


def _device_deadline_s(options: dict[str, Any]) -> float:
    if options["device_deadline_s"] is not None:
        return float(options["device_deadline_s"])
    shadow_s = SHADOW_PATIENCE * _policy(options).shadow_s
    return DEVICE_DEADLINE_S + shadow_s + (LONGEST_WAIT_S if any(options[name] for name in WINDOWS) else 0.0)


def _phase(text: str) -> PhaseSpec:
    share, _, seconds = text.partition(":")
    return PhaseSpec(round(_number(share, "--phase") * 100), _number(seconds or "0", "--phase"))


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {text!r} is no number") from error


def read_settings(kind: Any, pairs: tuple[str, ...], option: str) -> Any:  # noqa: ANN401  (a struct of the contract)
    """NAME=VALUE pairs as a struct; wrong ones are a wrong usage."""
    values = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or name not in kind.__struct_fields__:
            near = difflib.get_close_matches(name, kind.__struct_fields__, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(kind.__struct_fields__)}"
            raise click.UsageError(f"{option}: {pair!r} is no NAME=VALUE that is known{hint}")
        values[name] = value
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"{option}: {error}") from error
