"""A package's variant, opened: raw input in, named result out.

An engine holds no lock: one thread at a time.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contract.manifest import Variant
from contract.package import Package
from edge_agent.engine.accelerators import ON_CPU, Placement, split_name
from edge_agent.engine.errors import InferenceError, InputError, ModelRefusedError
from edge_agent.engine.model_spec import DEFAULT_THRESHOLD, SCORES, ModelSpec
from edge_agent.engine.runtimes import Session, open_session
from edge_agent.engine.tensors import InputPlan, OutputPlan, plan_inputs, plan_outputs

if TYPE_CHECKING:
    import numpy as np

Sample = Mapping[str, "np.ndarray"]


class Prediction(NamedTuple):
    """The answer to one sample.

    `label` is always that of the highest score; `accepted` says whether the score reaches the
    label's threshold. `scores` is float32 (C,).
    """

    label: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    score: float
    scores: "np.ndarray"
    outputs: "dict[str, np.ndarray]"
    latency_us: float
    accepted: bool = True


class Engine:
    """One variant of a model, loaded. Use as a context manager."""

    def __init__(self, session: Session, spec: ModelSpec, variant: Variant, file: Path) -> None:
        self.spec = spec
        self.variant = variant
        self.file = file
        self._session = session
        self._run_session: Callable[[dict[str, np.ndarray]], list[np.ndarray]] = session.run
        self._inputs: InputPlan = plan_inputs(spec, variant, session)
        self._outputs: OutputPlan = plan_outputs(spec, session)
        self._scores = _scores_name(spec)
        self._thresholds = [spec.thresholds.get(label, spec.thresholds.get(DEFAULT_THRESHOLD, 0.0)) for label in spec.labels]

    def run(self, sample: Sample) -> "dict[str, np.ndarray]":
        """Named raw outputs for raw inputs by name, without a batch axis.

        Raises:
            InputError: an input is missing, unknown, or of another type or shape.
            InferenceError: the runtime failed.
        """
        return self._outputs.collect(self._run_session(self._inputs.feed(sample)))

    def predict(self, sample: Sample) -> Prediction:
        """Label, score and all outputs for one sample; raises as `run`."""
        begun = time.perf_counter_ns()
        outputs = self._outputs.collect(self._run_session(self._inputs.feed(sample)))  # as `run`; a call costs at this place
        scores = outputs[self._scores]
        index = int(scores.argmax())
        score = float(scores.item(index))
        latency_us = (time.perf_counter_ns() - begun) / 1000
        accepted = score >= self._thresholds[index]
        return Prediction(self.spec.labels[index], index, score, scores, outputs, latency_us, accepted)

    def answer(self, sample: Sample) -> Prediction:
        """As `predict`, for whoever acts on it: scores that are no numbers are no answer.

        Raises:
            InputError: as `run`; also where the sample holds NaN or infinite values and so do the scores.
            InferenceError: as `run`; also where the scores are NaN though the sample is not.
        """
        prediction = self.predict(sample)
        if not math.isfinite(prediction.score):  # where any score is NaN, so is the highest
            raise _no_number(sample)
        return prediction

    def close(self) -> None:
        """Give the model's memory back; no call may follow. Closing twice is allowed."""
        session, self._session = getattr(self, "_session", None), None  # type: ignore[assignment]
        self._run_session = _closed
        if session is not None:
            session.close()

    def __enter__(self) -> "Engine":  # noqa: PYI034  (typing.Self needs 3.11)
        """The engine itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def _no_number(sample: Sample) -> InputError | InferenceError:
    """Why there is no answer: the fault of the sample, or of the model."""
    import numpy as np

    for name, value in sample.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            return InputError(f"the model has no answer for this sample: its {name} holds what is no number (NaN), or is infinite")
    return InferenceError("the model's scores for this sample are no numbers (NaN); it was damaged when it was trained or converted")


def _closed(_: object) -> "list[np.ndarray]":
    raise ModelRefusedError("the engine was closed")


def _scores_name(spec: ModelSpec) -> str:
    if not spec.labels:
        raise ModelRefusedError(f"a model of task {spec.task!r} needs labels; its manifest lists none")
    return SCORES


def open_variant(file: Path, variant: Variant, spec: ModelSpec, placement: Placement = ON_CPU) -> Engine:
    """Open a model file that is not (yet) part of a package.

    Raises:
        ModelRefusedError: the file is broken, not accepted, does not fit `spec`, or not on the accelerator.
        RuntimeAbsentError: its runtime, or the runtime's part for the accelerator, is not installed on this machine.
        StepRefusedError: it needs a host step that this agent does not know.
    """
    free = [tensor.name for tensor in spec.inputs if -1 in tensor.shape]
    if placement.accelerator == "tensorrt" and free:
        raise ModelRefusedError(f"TensorRT would build an engine within a request, for the size of {', '.join(free)} is free; use CUDA")
    session = open_session(variant.runtime, file, placement)
    return _engine_or_close(session, lambda: Engine(session, spec, variant, file))


def _engine_or_close(session: Session, build: Callable[[], Engine]) -> Engine:
    try:
        return build()
    except BaseException:
        session.close()
        raise


def open_engine(package: Package, name: str, placement: Placement = ON_CPU) -> Engine:
    """Open a variant of a checked package; a name like `onnx-float32@cuda` sets the accelerator. Raises as `open_variant`."""
    variants, (variant, accelerator) = package.manifest.variants, split_name(name)
    if variant not in variants:
        raise ModelRefusedError(f"the package has no variant {variant[:60]!r}; it has {', '.join(sorted(variants))}")
    placement = placement._replace(accelerator=accelerator)
    return open_variant(package.variant_path(variant), variants[variant], ModelSpec.of(package.manifest), placement)
