"""Samples from files: a folder of images (one subfolder per class where there are labels), or arrays in an `.npz`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from contract.errors import SizeError
from contract.files import read_bounded
from converters.errors import SamplesError
from converters.preprocessing import resized
from converters.samples import EvaluationSet, Sample
from edge_agent.engine.decoding import decode_image
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
IMAGE_MAX_BYTES = 64 << 20
ARRAYS_MAX_BYTES = 4 << 30
LABELS_KEY = "labels"
INPUT_RANGES = ("0..255", "0..1", "-1..1", "imagenet")
"""What the numbers of an image input in floating point mean; `imagenet` is 0..1 less its mean, over its deviation."""

T = TypeVar("T")
_GREY_RANK = 2
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
_LUMINANCE = (0.299, 0.587, 0.114)


def class_names(path: Path) -> tuple[str, ...]:
    """Names of the classes that a folder of images names by its subfolders, sorted; empty where it names none."""
    return tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir())) if path.is_dir() else ()


def read_calibration(path: Path, spec: ModelSpec, *, input_range: str, limit: int) -> Sequence[Sample]:
    """At most `limit` samples of a folder or an `.npz`, evenly over all; their labels do not matter. Raises as `read_samples`."""
    if path.is_dir():
        return list(_image_inputs(_spread(_find_images(path), limit), _image_input(spec), input_range))
    found = read_samples(path, spec).samples
    return _spread(list(found), limit)


def read_samples(path: Path, spec: ModelSpec, *, input_range: str = "") -> EvaluationSet:
    """Samples of a folder or an `.npz`, with labels where it has them.

    Raises:
        SamplesError: nothing usable is there, or it does not fit the model.
    """
    if path.is_dir():
        images = _find_images(path)
        labels = _folder_labels(path, images, spec.labels)
        return EvaluationSet(list(_image_inputs(images, _image_input(spec), input_range)), labels)
    if path.suffix.lower() == ".npz" and path.is_file():
        return _read_arrays(path, spec)
    raise SamplesError(f"{path} is neither a folder of images nor an .npz file")


def _find_images(path: Path) -> list[Path]:
    images = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
    if not images:
        raise SamplesError(f"{path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return images


def _folder_labels(path: Path, images: Sequence[Path], known: Sequence[str]) -> list[int] | None:
    """Index of each image's class by its first folder; None where no image lies in one."""
    names = [file.relative_to(path).parts[0] if len(file.relative_to(path).parts) > 1 else "" for file in images]
    if not any(names):
        return None
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SamplesError(
            f"{path.name} has images in {unknown[0] or '(no folder)'!r}, which is none of the model's labels ({', '.join(known)[:200]})",
            "Name the labels in the model's order with --labels.",
        )
    index = {label: number for number, label in enumerate(known)}
    return [index[name] for name in names]


class _ImageInput(NamedTuple):
    """An input that takes one image; `layout` is `HWC`, `CHW` or `HW` (grey, without an axis of channels)."""

    name: str
    dtype: str
    size: tuple[int, int]
    channels: int
    layout: str


def _image_input(spec: ModelSpec) -> _ImageInput:
    tensor = spec.inputs[0]
    shape = tensor.shape
    if len(spec.inputs) == 1 and tensor.layout == "HWC":
        return _ImageInput(tensor.name, tensor.dtype, (shape[0], shape[1]), shape[2], "HWC")
    if len(spec.inputs) == 1 and tensor.layout == "CHW":
        return _ImageInput(tensor.name, tensor.dtype, (shape[1], shape[2]), shape[0], "CHW")
    if len(spec.inputs) == 1 and len(shape) == _GREY_RANK and -1 not in shape:
        return _ImageInput(tensor.name, tensor.dtype, (shape[0], shape[1]), 1, "HW")
    shapes = ", ".join(f"{found.name} {found.shape}" for found in spec.inputs)
    raise SamplesError(f"the model takes no single image ({shapes})", "Give samples as an .npz with one array per input.")


def _image_inputs(images: Sequence[Path], wanted: _ImageInput, input_range: str) -> Iterator[Sample]:
    """Decoded images as the input wants them: its size by the canonical resize, its channels, layout and range."""
    free = -1 in wanted.size
    if free and wanted.dtype != "uint8":
        raise SamplesError(f"input {wanted.name} takes images of any size in {wanted.dtype}", "Export the model with a fixed input size.")
    if wanted.dtype != "uint8" and input_range not in INPUT_RANGES:
        raise SamplesError(
            f"input {wanted.name} takes images in {wanted.dtype}, and nobody said what its numbers mean",
            f"Say it with --input-range ({', '.join(INPUT_RANGES)}).",
        )
    frames = (_decode(file) for file in images)
    for frame in frames if free else _sized(frames, wanted.size):
        yield {wanted.name: _arranged(frame, wanted, input_range)}


def _arranged(frame: np.ndarray, wanted: _ImageInput, input_range: str) -> np.ndarray:
    """A frame uint8 (h, w, 3) in the input's channels, range, type and layout."""
    pixels = frame if wanted.channels == len(_LUMINANCE) else (frame @ np.array(_LUMINANCE))[..., np.newaxis].round().astype(np.uint8)
    values = pixels if wanted.dtype == "uint8" else _in_range(pixels, input_range).astype(wanted.dtype)
    if wanted.layout == "HW":
        return values[..., 0]
    return values if wanted.layout == "HWC" else np.ascontiguousarray(values.transpose(2, 0, 1))


def _sized(frames: Iterator[np.ndarray], size: tuple[int, int]) -> Iterator[np.ndarray]:
    for frame in resized(frames, size):
        yield frame[0]


def _decode(file: Path) -> np.ndarray:
    try:
        return decode_image(read_bounded(file, IMAGE_MAX_BYTES))
    except (InputError, SizeError, OSError) as error:
        raise SamplesError(f"{file.name!r} can not be used: {error}", "Remove it from the folder, or repair it.") from error


def _in_range(pixels: np.ndarray, input_range: str) -> np.ndarray:
    values = pixels.astype(np.float32)
    if input_range == "0..255":
        return values
    if input_range == "-1..1":
        return values / 127.5 - 1
    if input_range == "imagenet":
        return (values / 255 - np.array(_IMAGENET_MEAN, np.float32)) / np.array(_IMAGENET_DEVIATION, np.float32)
    return values / 255


def _read_arrays(path: Path, spec: ModelSpec) -> EvaluationSet:
    if path.stat().st_size > ARRAYS_MAX_BYTES:
        raise SamplesError(f"{path.name} is larger than {ARRAYS_MAX_BYTES >> 30} GiB")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise SamplesError(f"{path.name} can not be read as an .npz without pickles: {error}") from error
    labels = arrays.pop(LABELS_KEY, None)
    count = _check_arrays(path, arrays, spec)
    if labels is not None and (
        labels.shape != (count,) or labels.dtype.kind not in "iu" or not np.isin(labels, range(len(spec.labels))).all()
    ):
        raise SamplesError(f"`{LABELS_KEY}` in {path.name} must be {count} integers from 0 to {len(spec.labels) - 1}")
    samples = [{tensor.name: arrays[tensor.name][index] for tensor in spec.inputs} for index in range(count)]
    return EvaluationSet(samples, None if labels is None else [int(label) for label in labels])


def _check_arrays(path: Path, arrays: dict[str, np.ndarray], spec: ModelSpec) -> int:
    """Number of samples, if there is an array (N, …) of the right type for every input."""
    names = [tensor.name for tensor in spec.inputs]
    if sorted(arrays) != sorted(names):
        raise SamplesError(
            f"{path.name} holds the arrays {sorted(arrays)}, expected one per input {sorted(names)} and perhaps `{LABELS_KEY}`"
        )
    for tensor in spec.inputs:
        array = arrays[tensor.name]
        fits = array.dtype.kind == "U" if tensor.dtype == "string" else array.dtype == np.dtype(tensor.dtype)
        if not fits or not _same_shape(array.shape[1:], tensor.shape):
            raise SamplesError(f"{tensor.name} in {path.name} is {array.dtype} {array.shape}, expected {tensor.dtype} (N, {tensor.shape})")
    counts = {len(array) for array in arrays.values()}
    if len(counts) != 1 or 0 in counts:
        raise SamplesError(f"the arrays in {path.name} have {sorted(counts)} samples, expected the same number, at least 1")
    return counts.pop()


def _same_shape(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(found) == len(wanted) and all(w in (-1, f) for f, w in zip(found, wanted, strict=True))


def _spread(items: list[T], limit: int) -> list[T]:
    """At most `limit` (2 or more) of the items, evenly over all."""
    if len(items) <= limit:
        return items
    return [items[round(position * (len(items) - 1) / (limit - 1))] for position in range(limit)]
