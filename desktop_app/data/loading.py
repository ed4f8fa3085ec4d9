"""From the catalogue to what a model sees: pixels of an image, columns of rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from desktop_app.data.blobs import read_blob
from desktop_app.data.columns import Column
from desktop_app.data.project import Project
from desktop_app.data.versions import DatasetVersion, VersionSample
from desktop_app.errors import DataError

if TYPE_CHECKING:
    import numpy as np


def load_image(project: Project, sha256: str) -> "np.ndarray":
    """An image as uint8 (H, W, 3) RGB, upright, decoded by the engine's own decoder.

    Raises:
        DataError: the original is missing, changed, or no image.
    """
    from edge_agent.engine.decoding import decode_image
    from edge_agent.engine.errors import InputError

    try:
        return decode_image(read_blob(project, sha256))
    except InputError as error:
        raise DataError(f"the original {sha256[:16]}… can not be decoded: {error}") from error


def load_rows(version: DatasetVersion, samples: Sequence[VersionSample] | None = None) -> list[dict[str, Any]]:
    """Rows of a table's version (all, or those of `samples`) as values by feature, in the columns' order.

    A missing value is None, a number an int or float, a category text.

    Raises:
        DataError: the version is not of a table.
    """
    if not version.target:
        raise DataError(f"dataset version {version.number} is of {version.task}; it has no rows")
    chosen = version.samples if samples is None else samples
    return [{column.name: (sample.row or {}).get(column.name) for column in version.columns} for sample in chosen]


def load_columns(version: DatasetVersion, samples: Sequence[VersionSample] | None = None) -> dict[Column, list[Any]]:
    """The same by column: each feature with its values in the samples' order."""
    rows = load_rows(version, samples)
    return {column: [row[column.name] for row in rows] for column in version.columns}
