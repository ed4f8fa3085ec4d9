"""Whether a variant may be shipped: how much accuracy it may lose, and what to try when it loses more. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from contract.manifest import Variant, VariantEvaluation

_POINTS = 100
_FEW_CALIBRATION_SAMPLES = 128
_SLACK = 1e-9  # so that exactly the limit passes


@dataclass(frozen=True)
class Gate:
    """Limits as shares: `max_loss` 0.01 is one point of accuracy; None for `max_class_loss` sets no limit per class."""

    max_loss: float = 0.01
    max_class_loss: float | None = None


class GateResult(msgspec.Struct, frozen=True):
    """The gate's verdict on one variant, with the reason in words."""

    passed: bool
    reason: str


def judge(evaluation: VariantEvaluation, gate: Gate) -> GateResult:
    """Compare what a variant lost with the gate's limits."""
    loss = -evaluation.change
    limit = f"at most {_POINTS * gate.max_loss:.2f} allowed"
    moved = f"{_moved(evaluation)} on {evaluation.samples} samples"
    if loss > gate.max_loss + _SLACK:
        return GateResult(passed=False, reason=f"{moved}, {limit}")
    if gate.max_class_loss is not None:
        worst = worst_class(evaluation.class_change)
        if worst is not None and -worst[1] > gate.max_class_loss + _SLACK:
            allowed = f"at most {_POINTS * gate.max_class_loss:.2f} allowed per class"
            return GateResult(passed=False, reason=f"class {worst[0]} lost {-_POINTS * worst[1]:.2f} points of recall, {allowed}")
    blind = "" if evaluation.samples * gate.max_loss >= 1 else "; too few samples to see a loss that small"
    return GateResult(passed=True, reason=f"{moved}, {limit}{blind}")


def worst_class(class_change: Mapping[str, float]) -> tuple[str, float] | None:
    """The class that lost the most recall, and how its recall changed; None without classes."""
    return min(class_change.items(), key=lambda pair: pair[1]) if class_change else None


def remedies(variants: Mapping[str, Variant], gates: Mapping[str, GateResult], calibration_count: int) -> tuple[str, ...]:
    """What to try, in this order, when a variant fails the gate; empty where all pass."""
    failed = [name for name, result in gates.items() if not result.passed]
    if not failed:
        return ()
    advice = []
    passing = [name for name in variants if gates.get(name) and gates[name].passed and variants[name].precision != "float32"]
    if passing:
        advice.append(f"Ship {' or '.join(passing)} instead of {', '.join(failed)}: they pass.")
    if any(variants[name].quantization == "static" for name in failed):
        if calibration_count < _FEW_CALIBRATION_SAMPLES:
            advice.append(
                f"Calibrate with more samples: {calibration_count} were used; "
                f"{_FEW_CALIBRATION_SAMPLES} over all classes and lights are better."
            )
        advice.append("Check that the calibration samples look like what devices will see (same camera, brightness, size).")
    if not any(variants[name].precision == "float16" for name in variants):
        advice.append("Add a float16 variant: half the bytes of float32, hardly any loss.")
    advice.append("Train longer or a little wider: a network with larger margins loses less when it is quantized.")
    advice.append("Raise the limit, knowingly: see which samples flipped and which class lost most before you do.")
    return tuple(advice)


def _moved(evaluation: VariantEvaluation) -> str:
    points = _POINTS * evaluation.change
    if abs(points) < 0.005:  # noqa: PLR2004  (what two decimals show as zero)
        return "nothing lost"
    return f"{'lost' if points < 0 else 'gained'} {abs(points):.2f} points"
