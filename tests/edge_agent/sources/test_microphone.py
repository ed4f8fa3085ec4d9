import os
from pathlib import Path

import numpy as np
import pytest

from contract.application import Source
from contract.manifest import TensorSpec
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources import microphone
from edge_agent.sources.live import LivePolicy
from edge_agent.sources.source import SourceError, SourceNotice
from edge_agent.sources.table import open_source
from tests.edge_agent.sources.live_sources import ROWS, SOUND, samples, take_until

RECORDER = """#!/bin/sh
echo "$@" > {folder}/arguments
echo $$ > {folder}/pid
exec cat {folder}/sound {rest}
"""


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, sound: bytes, *, endless: bool = False) -> None:
    """An `arecord` that writes PCM, first on the PATH."""
    (folder / "sound").write_bytes(sound)
    os.mkfifo(folder / "silence")
    script = folder / "arecord"
    script.write_text(RECORDER.format(folder=folder, rest=folder / "silence" if endless else ""))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_windows_of_what_the_recorder_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, np.arange(220, dtype="<i2").tobytes(), endless=True)
    options = {"device": "plughw:1,0", "hop_s": 0.05}
    items = take_until(Source("microphone", options), SOUND, tmp_path, lambda found: len(samples(found)) == 3)
    taken = samples(items)
    for window, begin in zip(taken, (0, 50, 100), strict=True):
        np.testing.assert_allclose(window.sample["sound"] * 32768, np.arange(begin, begin + 100))
        assert window.sample["sound"].dtype == np.float32
    assert (tmp_path / "arguments").read_text().split() == ["-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", "1000", "-D", "plughw:1,0"]
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)  # it ended with the source, though it had more to wait for


def test_a_hop_beyond_the_window_leaves_out_what_lies_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, np.arange(400, dtype="<i2").tobytes(), endless=True)
    items = take_until(Source("microphone", {"hop_s": 0.15}), SOUND, tmp_path, lambda found: len(samples(found)) == 2)
    assert [round(float(item.sample["sound"][0]) * 32768) for item in samples(items)] == [0, 150]


def test_a_recorder_that_ends_is_started_again_and_its_words_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "POLICY", LivePolicy(4, 0.001, 0.01, 0.02))
    script = tmp_path / "arecord"
    script.write_text(f"#!/bin/sh\necho x >> {tmp_path}/starts\necho 'audio open error: Device or resource busy' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    items = take_until(Source("microphone", {}), SOUND, tmp_path, bool)
    (notice,) = items
    assert isinstance(notice, SourceNotice)
    assert notice.failed
    assert "Device or resource busy" in notice.text
    assert len((tmp_path / "starts").read_text().splitlines()) > 1


@pytest.mark.parametrize(
    ("options", "spec", "words"),
    [
        ({}, ROWS, "one float32 input of one axis"),
        ({}, ModelSpec("t", ("a", "b"), (TensorSpec("s", "float32", (100,)),), (), {}), "rate"),
        ({}, ModelSpec("t", ("a", "b"), (TensorSpec("s", "float32", (-1,), units="100 Hz"),), (), {}), "fixed length"),
        ({"device": "-r 1 -D x"}, SOUND, "not valid"),
        ({}, SOUND, "needs arecord, which is not on the PATH"),
    ],
)
def test_what_can_not_be_opened_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, options: dict, spec: ModelSpec, words: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match=words):
        open_source(Source("microphone", options), spec, tmp_path)
