"""The manifest of a model version: what it takes, what it gives, its variants and the digest of every file."""

from typing import Annotated, Any, ClassVar

import msgspec

from contract.names import FILE_PATTERN, ID_PATTERN, SHA256_PATTERN

MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.sig"
MANIFEST_MAX_BYTES = 1 << 20
MANIFEST_PAYLOAD_TYPE = "application/vnd.eyelet.manifest+json"

Id = Annotated[str, msgspec.Meta(pattern=ID_PATTERN)]
Sha256 = Annotated[str, msgspec.Meta(pattern=SHA256_PATTERN)]
FileName = Annotated[str, msgspec.Meta(pattern=FILE_PATTERN)]
VersionNumber = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
SizeBytes = Annotated[int, msgspec.Meta(ge=0, le=8 << 30)]


class FileEntry(msgspec.Struct, frozen=True):
    """SHA-256 and length of one file."""

    sha256: Sha256
    size_bytes: SizeBytes


class TensorSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One named input or output.

    `shape` has -1 where a length is free. `layout` names the axes (`HWC`, `F`, `C`), `units` and
    `value_range` say what the numbers mean (`uint8` grey levels 0 to 255, probabilities 0 to 1).
    """

    name: str
    dtype: str  # uint8, int8, float32, int64, string
    shape: tuple[int, ...]
    layout: str = ""
    units: str = ""
    value_range: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()


class HostStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of preprocessing that a target can not hold in its graph, from the closed set.

    The set: `decode`, `resize`, `crop`, `colour`, `window`, `tokenize`. A runtime refuses an
    operation or an option it does not know; it never guesses.
    """

    operation: str
    options: dict[str, Any] = {}


class VariantEvaluation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was measured on the desk for one variant, through the engine that the device uses."""

    metric: str  # accuracy, r2, …
    score: float  # 0 to 1 for accuracy
    samples: int
    change: float = 0.0  # score minus the score of the float32 reference
    parity: float = 0.0  # largest absolute difference of an output to the reference
    agreement: float = 1.0  # share of samples with the reference's answer
    latency_p50_ms: float = 0.0
    latency_p95_ms: float = 0.0
    class_change: dict[str, float] = {}  # per class: recall minus the reference's recall


class Variant(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file of a model version, for one runtime at one precision.

    `file` is its name in the package; `pipeline` are the host steps that run before it;
    `tolerance` bounds the absolute difference of any output from the golden one.
    """

    runtime: str  # onnx, litert
    precision: str  # float32, float16, int8
    quantization: str  # none, dynamic, static
    file: FileName
    pipeline: tuple[HostStep, ...] = ()
    tolerance: float = 1e-4
    opset: int = 0
    evaluation: VariantEvaluation | None = None


class Lineage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a model version comes from."""

    dataset: str = ""
    dataset_version: str = ""  # digest of the frozen dataset version
    recipe: str = ""  # digest of the recipe
    run: str = ""
    seed: int = 0
    software: dict[str, str] = {}
    gate_override: str = ""  # why a failed gate was overridden; empty where none was


class Requirements(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device must have."""

    agent_min_version: str = "0.1.0"
    memory_bytes: int = 0
    disk_bytes: int = 0


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model version; every other file of its package is in `files` with digest and length."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    name: Id
    version: VersionNumber
    task: str  # image-classification, tabular-classification, …
    created_at: str
    labels: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    variants: dict[str, Variant]
    files: dict[FileName, FileEntry]
    thresholds: dict[str, float] = {}
    golden: FileName = "golden.npz"
    golden_count: int = 0
    reference: FileName = "reference.json"
    report: FileName = "report.json"
    model_card: FileName = "model_card.md"
    lineage: Lineage = Lineage()
    requirements: Requirements = Requirements()


def golden_input_key(index: int, name: str) -> str:
    """Key in `golden.npz` (and in an acceptance set) of one raw input of sample `index`."""
    return f"{index:04d}.input.{name}"


def golden_output_key(index: int, variant: str, name: str) -> str:
    """Key in `golden.npz` of the output that `variant` gave on the desk for sample `index`."""
    return f"{index:04d}.output.{variant}.{name}"
