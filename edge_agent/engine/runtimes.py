"""The table of runtimes, and the small interface behind which each of them stands."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edge_agent.engine.accelerators import ON_CPU, Placement
from edge_agent.engine.errors import ModelRefusedError, RuntimeAbsentError

if TYPE_CHECKING:
    import numpy as np


class SessionTensor(NamedTuple):
    """An input or output as the model file declares it; -1 in `shape` where a length is free."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Session(Protocol):
    """A loaded model file. One thread at a time."""

    @property
    def inputs(self) -> tuple[SessionTensor, ...]:
        """Inputs in the file's order."""

    @property
    def outputs(self) -> tuple[SessionTensor, ...]:
        """Outputs in the file's order."""

    def run(self, feed: "dict[str, np.ndarray]") -> "list[np.ndarray]":
        """All outputs in order; `feed` holds every input by name in the declared dtype and rank."""

    def close(self) -> None:
        """Give memory back; no call may follow."""


class Runtime(NamedTuple):
    """One row of the table: the adapter's module and what to install where its library is absent."""

    module: str
    advice: str


RUNTIMES: Mapping[str, Runtime] = {
    "onnx": Runtime("edge_agent.engine.onnx_session", "pip install onnxruntime"),
    "litert": Runtime("edge_agent.engine.litert_session", "pip install ai-edge-litert (or tflite-runtime with 'numpy<2')"),
}


def open_session(runtime: str, file: Path, placement: Placement = ON_CPU) -> Session:
    """Load a model file; usually with one thread on the CPU.

    Raises:
        ModelRefusedError: the runtime's name is unknown, or the file is broken or not accepted.
        RuntimeAbsentError: its library, or its part for the accelerator, is not installed here.
    """
    session: Session = _adapter(runtime).open_session(file, placement)
    return session


def runtime_version(runtime: str) -> str:
    """Name and version of the library behind a runtime; raises as `open_session`."""
    return str(_adapter(runtime).library_version())


def available_runtimes() -> dict[str, str]:
    """Versions of the runtimes that load on this machine, by name."""
    return {name: version for name in RUNTIMES if (version := _version_or_none(name)) is not None}


def absence_reason(runtime: str) -> str | None:
    """Why a runtime can not be used here, in one sentence; None where it can."""
    try:
        runtime_version(runtime)
    except (RuntimeAbsentError, ModelRefusedError) as error:
        return str(error)
    return None


def _version_or_none(runtime: str) -> str | None:
    try:
        return runtime_version(runtime)
    except RuntimeAbsentError:
        return None


def _adapter(runtime: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  (a module)
    if runtime not in RUNTIMES:
        raise ModelRefusedError(
            f"the variant asks for the runtime {runtime[:40]!r}; this agent knows {', '.join(RUNTIMES)}. Update the agent"
        )
    row = RUNTIMES[runtime]
    module = importlib.import_module(row.module)
    try:
        module.library_version()
    except ImportError as error:
        raise RuntimeAbsentError(f"the runtime {runtime} can not be used on this machine ({error}). Install it: {row.advice}") from error
    return module
