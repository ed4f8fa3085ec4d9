"""Who comes first and who gets what: HMAC order within hardware classes, arms in blocks, phases by share.

Everything follows from the salt and the names, so it is sticky, survives a restart and can be replayed.
"""

import hashlib
import hmac
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from contract.rest import PhaseSpec
from fleet_server.rollouts.facts import CONTROL, TREATMENT

BASIS_POINTS = 10_000


class Place(NamedTuple):
    """One device's place in a rollout."""

    device: str
    arm: str
    phase: int
    position: int


class Weights(NamedTuple):
    """Weights of the arms; a control weight of 0 means that there is no control arm."""

    control: int
    treatment: int


def plan_cohort(classes: Mapping[str, str], salt: str, phases: Sequence[PhaseSpec], weights: Weights) -> list[Place]:
    """Places of all devices; `classes` gives the hardware class of each device.

    Each phase's prefix holds about the same share of every hardware class, and within a class the
    arms alternate by weight, so that already the first phase compares like with like.
    """
    arms = _assign_arms(_strata(classes, salt), weights)
    order = _interleave(_strata(classes, salt), salt)
    return [Place(device, arms[device], _phase_of(index, len(order), phases), index) for index, device in enumerate(order)]


def _rank(salt: str, device: str) -> str:
    return hmac.new(salt.encode(), device.encode(), hashlib.sha256).hexdigest()


def _strata(classes: Mapping[str, str], salt: str) -> dict[str, list[str]]:
    strata = defaultdict(list)
    for device in sorted(classes, key=lambda name: _rank(salt, name)):
        strata[classes[device]].append(device)
    return dict(sorted(strata.items(), key=lambda item: _rank(salt, "class:" + item[0])))


def _interleave(strata: Mapping[str, Sequence[str]], salt: str) -> list[str]:
    placed = [
        ((index + 0.5) / len(devices), _rank(salt, device), device) for devices in strata.values() for index, device in enumerate(devices)
    ]
    return [device for _, _, device in sorted(placed)]


def _assign_arms(strata: Mapping[str, Sequence[str]], weights: Weights) -> dict[str, str]:
    arms, seen, treated = {}, 0, 0
    share = weights.treatment / (weights.control + weights.treatment)
    for devices in strata.values():
        for device in devices:
            seen += 1
            wanted = math.floor(seen * share + 0.5)
            arms[device] = TREATMENT if wanted > treated else CONTROL
            treated += wanted > treated
    return arms


def _phase_of(index: int, size: int, phases: Sequence[PhaseSpec]) -> int:
    for number, phase in enumerate(phases):
        if index < max(1, math.ceil(size * phase.share_bp / BASIS_POINTS)):
            return number
    return len(phases)  # beyond the last share: never exposed
