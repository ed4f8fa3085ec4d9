"""Images decoded once: one uint8 array in memory, or in a memory-mapped file where they are too many.

The resize is the device's own host step, so that training sees what the device will see.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contract.manifest import HostStep
from desktop_app.data.project import Project
from desktop_app.data.versions import DatasetVersion, VersionSample
from desktop_app.jobs.context import Report
from desktop_app.training.network_training import ImageSplit

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY_MAX_BYTES = 1 << 30
CACHE_FOLDER = "cache"


def resize_step(side: int) -> "Callable[[np.ndarray], np.ndarray]":
    """The canonical resize to `side` x `side`: uint8 (H, W, 3) to uint8 (side, side, 3), bilinear, half-pixel centres, floor."""
    from edge_agent.engine.host_steps import build_steps

    return build_steps((HostStep("resize", {"height": side, "width": side, "mode": "linear"}),))[0]


def load_split(
    project: Project, version: DatasetVersion, split: str, side: int, report: Report, *, memory_bytes: int = MEMORY_MAX_BYTES
) -> ImageSplit:
    """All images of one split at `side` x `side`, with their labels.

    Above `memory_bytes` they go to a file in the project's `cache` folder, which may be deleted at
    any time when no run is at work, and is used again by later runs.

    Raises:
        desktop_app.errors.DataError: an original is missing or broken.
    """
    samples = version.of_split(split)
    index = {label: number for number, label in enumerate(version.labels)}
    labels = np.array([index[sample.label] for sample in samples], dtype=np.int64)
    shape = (len(samples), side, side, 3)
    if int(np.prod(shape)) <= memory_bytes:
        images = np.empty(shape, dtype=np.uint8)
        _decode_into(images, project, samples, report, split)
        return ImageSplit(images, labels)
    path = project.folder / CACHE_FOLDER / f"{split}-{side}-{version.digest}.npy"
    if not path.is_file():
        _build_cache(path, shape, project, samples, report)
    return ImageSplit(np.load(path, mmap_mode="r"), labels)


def _build_cache(path: Path, shape: tuple[int, ...], project: Project, samples: Sequence[VersionSample], report: Report) -> None:
    path.parent.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:20]}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        _decode_into(images, project, samples, report, path.name.split("-")[0])
        images.flush()
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _decode_into(images: np.ndarray, project: Project, samples: Sequence[VersionSample], report: Report, split: str) -> None:
    from desktop_app.data.loading import load_image

    resize = resize_step(images.shape[1])
    for position, sample in enumerate(samples):
        if position % 32 == 0:
            report.check_cancelled()
            report.progress(position, len(samples), "image", f"reading the {split} split")
        images[position] = resize(load_image(project, sample.sha256))
