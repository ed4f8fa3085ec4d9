from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_app.data.project import create_project
from desktop_app.jobs.requests import JOBS
from tests.desktop_app.jobs.tiny_jobs import TinyJob


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_project(tmp_path / "project", "tiny", "image-classification").close()
    return tmp_path / "project"


@pytest.fixture(autouse=True)
def tiny_job_known() -> Iterator[None]:
    JOBS[TinyJob] = f"{TinyJob.__module__}:run_tiny_job"
    yield
    JOBS.pop(TinyJob)
