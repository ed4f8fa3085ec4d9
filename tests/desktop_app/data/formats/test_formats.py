import importlib
import pkgutil
from pathlib import Path

import pytest

from desktop_app.data import formats
from desktop_app.data.formats import FORMATS, find_format
from desktop_app.data.project import TASK_NAMES
from desktop_app.errors import SourceError


def test_every_format_of_the_folder_is_in_the_table_and_the_other_way_round() -> None:
    modules = [importlib.import_module(f"{formats.__name__}.{module.name}") for module in pkgutil.iter_modules(formats.__path__)]
    found = {module.FORMAT.name: module.FORMAT for module in modules if hasattr(module, "FORMAT")}
    assert found == FORMATS
    assert all(name == entry.name and entry.task in TASK_NAMES for name, entry in FORMATS.items())


def test_formats_are_found_by_looking(tmp_path: Path) -> None:
    (tmp_path / "a.CSV").write_text("a,b\n1,2\n")
    assert find_format(tmp_path).name == "image-folder"
    assert find_format(tmp_path / "a.CSV").name == "csv-table"


def test_what_nothing_recognises_is_refused_with_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(SourceError, match=r"a folder of images.*a table as CSV"):
        find_format(tmp_path / "a.zip")
    with pytest.raises(SourceError, match="nothing at"):
        find_format(tmp_path / "absent")
    with pytest.raises(SourceError, match="image-folder, csv-table"):
        find_format(tmp_path, "magic")
