from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_app.data.importing import import_source
from desktop_app.data.project import Project, create_project
from tests.desktop_app.data.pictures import write_classes


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with create_project(tmp_path / "project", "pictures", "image-classification") as opened:
        yield opened


@pytest.fixture
def table_project(tmp_path: Path) -> Iterator[Project]:
    with create_project(tmp_path / "table", "table", "tabular-classification") as opened:
        yield opened


@pytest.fixture
def filled(project: Project, tmp_path: Path) -> Project:
    """A project with 20 cats, 20 dogs and 10 owls."""
    import_source(project, write_classes(tmp_path / "animals", {"cat": 20, "dog": 20, "owl": 10}))
    return project
