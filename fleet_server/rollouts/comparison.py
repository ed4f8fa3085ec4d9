"""Compare two arms on the means of their devices; the unit is the device, never the inference.

From 30 devices per arm an asymptotic confidence sequence for the difference of the means decides,
valid at every look (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit
theory and asymptotic confidence sequences", Ann. Statist. 2024). Below, the verdict is
"inconclusive", with the difference that so few devices could show at all.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from contract.rest import Verdict
from contract.states import ComparisonVerdict
from fleet_server.rollouts.facts import CONTROL, TREATMENT

ALPHA = 0.05
Z = 1.959964
DEVICES_PER_ARM = 30
METRIC = "latency_mean_ms"
_WHAT = "mean latency per device (accuracy can not be judged without labels)"


class Interval(NamedTuple):
    """Treatment minus control with its half width."""

    difference: float
    half_width: float

    @property
    def low(self) -> float:
        """Lower end."""
        return self.difference - self.half_width

    @property
    def high(self) -> float:
        """Upper end."""
        return self.difference + self.half_width


def boundary_factor(units: int, planned: int, alpha: float = ALPHA) -> float:
    """How many standard errors wide the confidence sequence is after `units`, tuned for `planned` units."""
    rho2 = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / max(planned, 2)
    scaled = units * rho2
    return math.sqrt(2 * (scaled + 1) / scaled * math.log(math.sqrt(scaled + 1) / alpha))


def student_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: exact for 1 and 2 degrees of freedom, an expansion (error < 1 %) above."""
    if freedom <= 1:
        return math.tan(math.pi * 0.475)
    if freedom == 2:  # noqa: PLR2004
        return 0.95 * math.sqrt(2 / (1 - 0.95**2))
    z, n = Z, freedom
    terms = (
        z,
        (z**3 + z) / (4 * n),
        (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2),
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3),
    )
    return sum(terms)


def confidence_interval(control: Sequence[float], treatment: Sequence[float], planned: int) -> Interval:
    """The confidence sequence at this look; each arm needs two devices at least."""
    error = math.sqrt(statistics.variance(control) / len(control) + statistics.variance(treatment) / len(treatment))
    factor = boundary_factor(len(control) + len(treatment), planned)
    return Interval(statistics.fmean(treatment) - statistics.fmean(control), factor * error)


def detectable_difference(control: Sequence[float], treatment: Sequence[float], planned: int) -> float | None:
    """The least difference that these devices could show, given how much devices of one arm differ.

    The spread is pooled over both arms and, being itself estimated from few devices, widened by
    Student's t. None where no arm has two devices.
    """
    freedom = len(control) + len(treatment) - 2
    squares = sum((value - statistics.fmean(arm)) ** 2 for arm in (control, treatment) if arm for value in arm)
    if freedom < 1 or not control or not treatment:
        return None
    error = math.sqrt(squares / freedom * (1 / len(control) + 1 / len(treatment)))
    return error * boundary_factor(len(control) + len(treatment), planned) * student_quantile(freedom) / Z


def compare_arms(control: Sequence[float], treatment: Sequence[float], *, planned: int, margin: float) -> Verdict:
    """Verdict on mean latencies (ms) per device; `margin` is how much worse (a share) still counts as no worse."""
    sizes = {CONTROL: len(control), TREATMENT: len(treatment)}
    if min(sizes.values()) < DEVICES_PER_ARM:
        return _too_few(control, treatment, planned, sizes)
    interval = confidence_interval(control, treatment, planned)
    verdict, text = _judge(interval, margin * statistics.fmean(control))
    bounds = f"within {interval.low:+.3g} and {interval.high:+.3g} ms at every look (95 %)"
    shown = f"treatment minus control {interval.difference:+.3g} ms, {bounds}"
    return Verdict(
        verdict=verdict,
        text=f"{text}: {shown}, in {_WHAT}; {sizes[CONTROL]} and {sizes[TREATMENT]} devices",
        metric=METRIC,
        difference=interval.difference,
        low=interval.low,
        high=interval.high,
        detectable_difference=interval.half_width,
        devices_per_arm=sizes,
    )


def _judge(interval: Interval, margin_ms: float) -> tuple[ComparisonVerdict, str]:
    if interval.high < 0:
        return ComparisonVerdict.TREATMENT_BETTER, "the treatment is faster"
    if interval.low > margin_ms:
        return ComparisonVerdict.CONTROL_BETTER, "the treatment is slower than tolerated"
    if interval.high <= margin_ms:
        return ComparisonVerdict.NO_WORSE, f"the treatment is not slower by more than {margin_ms:.3g} ms"
    if interval.low > 0:
        return ComparisonVerdict.CONTROL_BETTER, "the control is faster"
    return ComparisonVerdict.INCONCLUSIVE, "inconclusive"


def _too_few(control: Sequence[float], treatment: Sequence[float], planned: int, sizes: dict[str, int]) -> Verdict:
    detectable = detectable_difference(control, treatment, planned)
    difference = statistics.fmean(treatment) - statistics.fmean(control) if control and treatment else None
    return Verdict(
        verdict=ComparisonVerdict.INCONCLUSIVE,
        text=f"inconclusive: {sizes[CONTROL]} and {sizes[TREATMENT]} devices; {_limit_in_words(control, detectable)}",
        metric=METRIC,
        difference=difference,
        detectable_difference=detectable,
        devices_per_arm=sizes,
    )


def _limit_in_words(control: Sequence[float], detectable: float | None) -> str:
    if detectable is None:
        return f"this fleet can detect no difference at all in {_WHAT}: how much devices of one arm differ is not known from so few"
    mean = statistics.fmean(control)
    share = f" ({100 * detectable / mean:.0f} % of the control's {mean:.3g} ms)" if mean > 0 else ""
    return f"this fleet can detect no difference under {detectable:.3g} ms{share} in {_WHAT}"
