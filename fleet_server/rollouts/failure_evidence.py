"""Evidence that more devices fail than the operator tolerates: a one-sided e-process on the failure rate.

The e-value is the likelihood of the observations under a uniform mixture (Beta(1, 1)) of failure
rates truncated to (p0, 1], over that under p0. It is a supermartingale for every rate up to p0, so
that P(it ever reaches 1/alpha) is at most alpha (Ville), however often one looks. The truncation
matters: the whole Beta mixture also grows when a rollout is *better* than p0. Method: Ramdas,
Grünwald, Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid inference", 2023.
"""

import math
from collections.abc import Iterable


def log_e_value(failures: int, devices: int, tolerated_share: float) -> float:
    """Natural logarithm of the e-value after `failures` of `devices` failed.

    With k failures and m successes, the integral of p^k (1-p)^m over (p0, 1] is
    B(k+1, m+1) · P(Binomial(k+m+1, p0) <= k): a closed form.
    """
    if not 0 <= failures <= devices or not 0 < tolerated_share < 1:
        raise ValueError(f"{failures} of {devices} failures at a tolerated share of {tolerated_share} make no sense")
    good = devices - failures
    log_integral = _log_beta(failures + 1, good + 1) + _log_binomial_tail(failures, devices + 1, tolerated_share)
    log_prior = math.log1p(-tolerated_share)
    log_null = failures * math.log(tolerated_share) + good * math.log1p(-tolerated_share)
    return log_integral - log_prior - log_null


def failures_to_stop(devices: int, tolerated_share: float, alpha: float) -> int | None:
    """Least number of failures among `devices` at which the evidence suffices; None where none does."""
    for failures in range(devices + 1):
        if log_e_value(failures, devices, tolerated_share) >= -math.log(alpha):
            return failures
    return None


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_binomial_tail(at_most: int, trials: int, share: float) -> float:
    terms = (
        math.lgamma(trials + 1) - math.lgamma(j + 1) - math.lgamma(trials - j + 1) + j * math.log(share) + (trials - j) * math.log1p(-share)
        for j in range(at_most + 1)
    )
    return min(0.0, log_sum(terms))


def log_sum(logs: Iterable[float]) -> float:
    """Logarithm of the sum of numbers given by their logarithms."""
    values = list(logs)
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def log_ratio_evidence(seen: tuple[int, int], share: float, concentration: float = 100.0) -> float:
    """Logarithm of the evidence that arms report in another ratio than assigned (sample ratio mismatch).

    `seen` are the reporting devices of treatment and control, `share` the expected share of the
    treatment; a Beta prior around the expected share, as in Lindon and Malek, "Anytime-valid
    inference for multinomial count data", 2022.
    """
    first, second = seen
    prior = (concentration * share, concentration * (1 - share))
    log_marginal = _log_beta(prior[0] + first, prior[1] + second) - _log_beta(*prior)
    return log_marginal - first * math.log(share) - second * math.log1p(-share)
