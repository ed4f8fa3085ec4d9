"""From a source and wanted targets to ordered steps; what is impossible here is refused with the reason. Pure."""

import importlib.util
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from converters.errors import ConversionError
from converters.step import Step
from converters.targets import TARGETS, check_targets

_NO_WAY = {
    ("sklearn", "onnx"): "a scikit-learn model is shipped as onnx-float32: its trees or few weights gain nothing from another precision",
    ("sklearn", "litert"): "a scikit-learn model is shipped as onnx-float32: LiteRT has no operators for trees and for text",
    ("onnx", "litert"): "an ONNX file can not become TFLite here; convert from the training run, or choose onnx-* targets",
    ("tflite", "onnx"): "a TFLite file can not become ONNX here; convert from the training run, or choose litert-* targets",
}


@dataclass(frozen=True)
class Platform:
    """What decides which steps can run: operating system, processor, and the packages that are installed."""

    system: str
    machine: str
    packages: frozenset[str]

    @classmethod
    def here(cls, steps: Iterable[Step]) -> "Platform":
        """This machine; packages are looked up without being imported."""
        wanted = {package for step in steps for package in step.packages}
        found = frozenset(package for package in wanted if importlib.util.find_spec(package) is not None)
        return cls(platform.system(), platform.machine(), found)


class PlannedStep(NamedTuple):
    """One use of a step; the formats name the files between steps."""

    step: str
    requires: str
    ensures: str


@dataclass(frozen=True)
class Plan:
    """Steps in an order in which each finds what it requires; `reference` is what all else is compared with."""

    steps: tuple[PlannedStep, ...]
    targets: tuple[str, ...]
    refused: Mapping[str, str]
    reference: str


def make_plan(source_format: str, targets: Sequence[str], steps: Mapping[str, Step], here: Platform, *, calibrated: bool) -> Plan:
    """Plan a conversion; a float32 reference is planned even where it is not asked for.

    Raises:
        ConversionError: a target is unknown, or no target is possible.
    """
    asked = check_targets(list(targets))
    refused = {name: reason for name in asked if (reason := why_not(source_format, name, steps, here, calibrated=calibrated))}
    possible = [name for name in asked if name not in refused]
    if not possible:
        raise ConversionError(f"nothing to convert: {'; '.join(f'{name}: {reason}' for name, reason in refused.items())}")
    reference = _reference(possible)
    ordered: dict[str, PlannedStep] = {}
    for target in (reference, *possible):
        for planned in find_way(source_format, target, steps) or ():
            ordered.setdefault(planned.ensures, planned)
    return Plan(tuple(ordered.values()), tuple(dict.fromkeys((reference, *possible))), refused, reference)


def why_not(source_format: str, target: str, steps: Mapping[str, Step], here: Platform, *, calibrated: bool) -> str:
    """Why a target can not be reached; empty where it can."""
    way = find_way(source_format, target, steps)
    if way is None:
        runtime = TARGETS[target].runtime
        return _NO_WAY.get((source_format, runtime), f"there is no way from {source_format} to {target}")
    for planned in way:
        if reason := _step_refusal(steps[planned.step], here, calibrated=calibrated):
            return reason
    return ""


def find_way(source_format: str, target: str, steps: Mapping[str, Step]) -> list[PlannedStep] | None:
    """The shortest chain of steps from a format to a target; None where there is none."""
    ways: dict[str, list[PlannedStep]] = {source_format: []}
    queue = [source_format]
    while queue and target not in ways:
        current = queue.pop(0)
        for step in steps.values():
            for requires, ensures in step.edges:
                if requires == current and ensures not in ways:
                    ways[ensures] = [*ways[current], PlannedStep(step.name, requires, ensures)]
                    queue.append(ensures)
    return ways.get(target)


def _reference(possible: Sequence[str]) -> str:
    floats = [name for name in possible if TARGETS[name].precision == "float32"]
    return floats[0] if floats else f"{TARGETS[possible[0]].runtime}-float32"


def _step_refusal(step: Step, here: Platform, *, calibrated: bool) -> str:
    if step.systems and (here.system, here.machine) not in step.systems:
        offered = " and ".join(f"{system} {machine}" for system, machine in step.systems)
        return (
            f"{step.name} exists for {offered} only, this machine is {here.system} {here.machine}; convert there or leave this target out"
        )
    missing = [package for package in step.packages if package not in here.packages]
    if missing:
        return f"{step.name} needs the Python package {missing[0]}, which is not installed; install the extra eyelet-edge[convert]"
    if step.needs_calibration and not calibrated:
        return f"{step.name} needs calibration samples and none were given; give some, or choose a target without static quantization"
    return ""
