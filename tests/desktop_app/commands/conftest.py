from pathlib import Path

import pytest

from tests.desktop_app.commands.studio import Studio


@pytest.fixture
def studio(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """The command line, standing in an empty folder."""
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")
    return Studio(capsys)
