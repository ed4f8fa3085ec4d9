"""Source formats: one module each with its `FORMAT`; this table is all that names them."""

from pathlib import Path

from desktop_app.data.formats import csv_table, image_folder
from desktop_app.data.formats.source import Format
from desktop_app.errors import SourceError

FORMATS: dict[str, Format] = {
    image_folder.FORMAT.name: image_folder.FORMAT,
    csv_table.FORMAT.name: csv_table.FORMAT,
}


def find_format(path: Path, name: str = "") -> Format:
    """The format called `name`, or the one that recognises `path`.

    Raises:
        SourceError: there is no such format, nothing at `path`, or nothing recognises it.
    """
    if name and name not in FORMATS:
        raise SourceError(f"there is no source format {name!r}; known: {', '.join(FORMATS)}")
    if not path.exists():
        raise SourceError(f"there is nothing at {str(path)!r} to import", "Check the path.")
    if name:
        return FORMATS[name]
    for source_format in FORMATS.values():
        if source_format.recognises(path):
            return source_format
    titles = "; ".join(source_format.title for source_format in FORMATS.values())
    raise SourceError(f"{path.name!r} is nothing that can be imported; expected one of: {titles}")
