"""Images of a folder, replayed in the order of their names; files wait, none is dropped."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated

import msgspec

from edge_agent.engine.decoding import read_image
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources.pace import Pace
from edge_agent.sources.source import Item, Options, SourceDropped, SourceError, SourceSample, name_of_file, resolve, text_of_name

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class FolderOptions(Options, frozen=True):
    """`per_second` images per second; `repeat` begins again at the end."""

    path: str
    per_second: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0
    repeat: bool = True


class FolderSource:
    """See the module."""

    live_slots = 0

    def __init__(self, options: FolderOptions, spec: ModelSpec, data_folder: Path) -> None:
        if len(spec.inputs) != 1 or spec.inputs[0].dtype != "uint8":
            raise SourceError("a folder of images needs a model with one uint8 input")
        self._input = spec.inputs[0].name
        self._options = options
        self._folder = resolve(options.path, data_folder)
        self._files = list_images(self._folder)

    async def items(self) -> AsyncGenerator[Item, None]:
        """One image after the other; a broken one is reported as dropped."""
        pace = Pace(self._options.per_second)
        while True:
            for path in self._files:
                await pace.wait()
                name = name_of_file(path, self._folder)
                try:
                    yield SourceSample(name, {self._input: read_image(path)})
                except InputError as error:
                    yield SourceDropped(name, text_of_name(str(error)))
            if not self._options.repeat:
                return


def list_images(folder: Path) -> list[Path]:
    """Image files below a folder, by suffix, sorted by their path.

    Raises:
        SourceError: it is no folder, can not be read, or holds no image.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder")
    try:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    except OSError as error:
        raise SourceError(f"{folder} can not be read: {error}") from error
    if not files:
        raise SourceError(f"{folder} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return files


def open_source(options: FolderOptions, spec: ModelSpec, data_folder: Path) -> FolderSource:
    """Open the folder; raises `SourceError`."""
    return FolderSource(options, spec, data_folder)
