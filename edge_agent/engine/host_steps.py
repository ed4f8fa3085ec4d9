"""Preprocessing that a target can not hold in its graph: a small closed set with published test vectors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from contract.manifest import HostStep
from edge_agent.engine.errors import StepRefusedError

Step = Callable[[np.ndarray], np.ndarray]


def build_steps(pipeline: Sequence[HostStep]) -> tuple[Step, ...]:
    """The functions of a pipeline, in order.

    Raises:
        StepRefusedError: an operation or an option is unknown.
    """
    return tuple(_build(step) for step in pipeline)


def _build(step: HostStep) -> Step:
    if step.operation not in HOST_STEPS:
        raise StepRefusedError(
            f"the host step {step.operation[:40]!r} is not supported by this agent version; it knows {', '.join(HOST_STEPS)}"
        )
    return HOST_STEPS[step.operation](step.options)


HOST_STEPS: Mapping[str, Callable[[Mapping[str, Any]], Step]] = {}
