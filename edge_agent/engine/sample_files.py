"""Reads samples from `.npz` files: bounded, never unpickled, checked against the model's inputs."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from contract.files import read_bounded
from contract.manifest import TensorSpec, golden_input_key
from edge_agent.engine.errors import InputError
from edge_agent.engine.tensors import check_tensor, dtype_of

MAX_EXPANDED_BYTES = 2 << 30
MAX_ENTRIES = 500_000


def read_arrays(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file of at most `max_bytes`.

    Raises:
        InputError: unreadable, too large (also once unpacked), broken, or holding Python objects.
    """
    try:
        data = read_bounded(path, max_bytes)
        _check_expanded(data, path.name)
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except InputError:
        raise
    except Exception as error:  # numpy's and zipfile's readers raise whatever they stumble over
        if type(error) is MemoryError:  # numpy's own kind says that the file claims too much, this one that there is little left
            raise
        raise InputError(f"{path.name} is no usable .npz file: {str(error)[:200]}") from error


def _check_expanded(data: bytes, name: str) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        entries = zipped.infolist()
    expanded = sum(entry.file_size for entry in entries)
    if expanded > MAX_EXPANDED_BYTES or len(entries) > MAX_ENTRIES:
        raise InputError(f"{name} unpacks to {expanded} bytes in {len(entries)} arrays, more than is accepted")


def collect_samples(arrays: dict[str, np.ndarray], inputs: tuple[TensorSpec, ...], name: str) -> list[dict[str, np.ndarray]]:
    """The samples `0000`, `0001`, … of a file's arrays, each with every input.

    Raises:
        InputError: an input is missing or does not fit its specification; `name` is said in the message.
    """
    return list(_samples(arrays, inputs, name))


def _samples(arrays: dict[str, np.ndarray], inputs: tuple[TensorSpec, ...], name: str) -> Iterator[dict[str, np.ndarray]]:
    index = 0
    while any(golden_input_key(index, spec.name) in arrays for spec in inputs):
        sample = {}
        for spec in inputs:
            key = golden_input_key(index, spec.name)
            if key not in arrays:
                raise InputError(f"{name} lacks {key}")
            sample[spec.name] = check_tensor(arrays[key], spec, dtype_of(spec))
        yield sample
        index += 1
