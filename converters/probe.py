"""What a model file from elsewhere takes and gives, found out in a child process: a hostile file can abort the interpreter.

`python -m converters.probe FILE RUNTIME` prints the answer as one JSON line.
"""

import subprocess
import sys
from pathlib import Path

import msgspec

from converters.errors import SourceError

PROBE_TIMEOUT_S = 120.0
_FREE_LENGTH = 64  # of a frame's sides where they are free; other free lengths are tried with 1
_FRAME_RANK = 3


class Tensor(msgspec.Struct, frozen=True):
    """An input or output; -1 in `shape` where a length is free."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class ProbeResult(msgspec.Struct, frozen=True):
    """Inputs and outputs of a model file; outputs with the shapes they had for one sample of zeros."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def probe(file: Path, runtime: str) -> ProbeResult:
    """Load a model file in a child process and run it once.

    Raises:
        SourceError: it does not load, or kills the process that loads it.
    """
    command = [sys.executable, "-m", "converters.probe", str(file), runtime]
    try:
        child = subprocess.run(command, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{file.name} did not load and run once within {PROBE_TIMEOUT_S:.0f} s") from error
    if child.returncode < 0:
        raise SourceError(f"{file.name} kills the process that loads it (signal {-child.returncode}): the file is broken or hostile")
    if child.returncode != 0:
        words = child.stderr.decode(errors="replace").strip().splitlines()
        raise SourceError(words[-1][:400] if words else f"{file.name} does not load")
    return msgspec.json.decode(child.stdout.splitlines()[-1], type=ProbeResult)


def inspect(file: Path, runtime: str) -> ProbeResult:
    """Load a model file in this process and run it once with zeros, where its free lengths allow that.

    Raises:
        edge_agent.engine.errors.EngineError: it does not load.
    """
    import numpy as np

    from edge_agent.engine.errors import InferenceError
    from edge_agent.engine.runtimes import open_session

    session = open_session(runtime, file)
    try:
        inputs = tuple(Tensor(tensor.name, tensor.dtype, tensor.shape) for tensor in session.inputs)
        outputs = tuple(Tensor(tensor.name, tensor.dtype, tensor.shape) for tensor in session.outputs)
        try:
            found = session.run({tensor.name: _zeros(tensor) for tensor in inputs})
        except InferenceError:
            return ProbeResult(inputs, outputs)
        shapes = [tuple(np.shape(array)) for array in found]
        return ProbeResult(inputs, tuple(msgspec.structs.replace(t, shape=s) for t, s in zip(outputs, shapes, strict=True)))
    finally:
        session.close()


def _zeros(tensor: Tensor):  # type: ignore[no-untyped-def]  # noqa: ANN202  (numpy is imported only here)
    import numpy as np

    free = _FREE_LENGTH if is_frame(tensor) else 1
    shape = [free if length == -1 else length for length in tensor.shape]
    return np.full(shape, "", dtype=object) if tensor.dtype == "string" else np.zeros(shape, dtype=tensor.dtype)


def is_frame(tensor: Tensor) -> bool:
    """Whether an input is a raw frame without a batch axis: uint8 (H, W, channels)."""
    return tensor.dtype == "uint8" and len(tensor.shape) == _FRAME_RANK and tensor.shape[-1] in (1, 3)


def main() -> int:
    """The child: print what was found, or one sentence on standard error."""
    from converters.quiet import quiet
    from edge_agent.engine.errors import EngineError

    try:
        with quiet():
            found = inspect(Path(sys.argv[1]), sys.argv[2])
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    print(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
