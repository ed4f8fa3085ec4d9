"""What a finished run leaves: `model.json`, which describes and pins the one model file beside it."""

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from contract.codec import decode, encode, utc_now
from contract.errors import ContractError
from contract.files import check_file, read_bounded, sha256_of_file, write_atomic
from contract.manifest import TensorSpec, Variant
from desktop_app.training.architecture import ESTIMATOR, NETWORK
from desktop_app.training.errors import RunError
from desktop_app.training.recipe import Recipe
from desktop_app.training.runs import Run

if TYPE_CHECKING:
    from edge_agent.engine.engine import Engine
    from edge_agent.engine.model_spec import ModelSpec

RECORD_NAME = "model.json"
RECORD_MAX_BYTES = 1 << 20
MODEL_FILES = {NETWORK: "model.npz", ESTIMATOR: "model.onnx"}
_PACKAGES = ("torch", "lightning", "scikit-learn", "skl2onnx", "numpy", "pandas")


class ModelRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """`model.json`; inputs, outputs and labels are those of the model's `ModelSpec`."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    kind: str  # network or estimator
    file: str
    sha256: str
    size_bytes: int
    task: str
    labels: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    recipe: str  # digest
    train_samples: int
    validation_samples: int
    created_at: str
    software: dict[str, str] = {}

    @property
    def spec(self) -> "ModelSpec":
        """The signature, as the engine and the converters take it."""
        from edge_agent.engine.model_spec import ModelSpec

        return ModelSpec(self.task, self.labels, self.inputs, self.outputs, {})


def write_record(folder: Path, kind: str, spec: "ModelSpec", recipe: Recipe, counts: tuple[int, int]) -> ModelRecord:
    """Describe the model file of `kind` that lies in `folder`; `counts` are training and validation samples."""
    path = folder / MODEL_FILES[kind]
    record = ModelRecord(
        schema_version=1,
        kind=kind,
        file=path.name,
        sha256=sha256_of_file(path),
        size_bytes=path.stat().st_size,
        task=spec.task,
        labels=spec.labels,
        inputs=spec.inputs,
        outputs=spec.outputs,
        recipe=recipe.digest,
        train_samples=counts[0],
        validation_samples=counts[1],
        created_at=utc_now(),
        software=_software(),
    )
    write_atomic(folder / RECORD_NAME, encode(record))
    return record


def _software() -> dict[str, str]:
    installed = {name: _version(name) for name in _PACKAGES}
    return {name: version for name, version in installed.items() if version}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def load_record(run: Run) -> ModelRecord:
    """The record of a finished run, its file's digest checked.

    Raises:
        RunError: the run is not done, or its model is missing or was changed.
    """
    path = run.path / RECORD_NAME
    if not path.is_file():
        raise RunError(f"run {run.id} has no model: it is {run.state.state}. Finish it first: eyelet-studio train --resume {run.id}")
    try:
        record = decode(read_bounded(path, RECORD_MAX_BYTES), ModelRecord, f"the model record of run {run.id}")
        check_file(run.path / record.file, record.sha256, record.size_bytes)
    except (OSError, ContractError) as error:
        raise RunError(f"the model of run {run.id} can not be read: {error}. Train the run again") from error
    return record


def load_network(run: Run) -> Any:  # noqa: ANN401  (torch is not imported before it is needed)
    """The run's network in eval mode: float32 (N, h, w, 3) RGB in 0..255 to logits float32 (N, C).

    h and w are the recipe's option `input_size`; normalisation is inside.

    Raises:
        RunError: not done, not a network, missing or changed.
    """
    from desktop_app.training.network_training import build_network
    from desktop_app.training.weights import load_weights

    record = load_record(run)
    _check_kind(run, record, NETWORK)
    network = build_network(run.recipe, len(record.labels), [0.0] * 3, [1.0] * 3)
    load_weights(run.path / record.file, network)
    return network.eval()


def load_estimator(run: Run) -> "Engine":
    """The run's classical model, opened by the device's engine from the ONNX file it is kept as.

    Close it after use, or use it as a context manager. The file itself is `run.path / "model.onnx"`:
    one input per column, output `scores` float32 (C,).

    Raises:
        RunError: not done, not an estimator, missing or changed.
    """
    from edge_agent.engine.engine import open_variant

    record = load_record(run)
    _check_kind(run, record, ESTIMATOR)
    return open_variant(run.path / record.file, Variant("onnx", "float32", "none", record.file), record.spec)


def _check_kind(run: Run, record: ModelRecord, wanted: str) -> None:
    if record.kind != wanted:
        raise RunError(f"run {run.id} holds {record.kind}, expected {wanted}: its architecture is {run.recipe.architecture}")
