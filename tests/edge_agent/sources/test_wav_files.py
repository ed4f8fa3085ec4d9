from pathlib import Path

import numpy as np
import pytest

from contract.application import Source
from contract.manifest import TensorSpec
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources.source import SourceDropped, SourceError
from edge_agent.sources.table import open_source
from tests.edge_agent.sources.live_sources import IMAGES, SOUND, make_wav, ramp, samples, take_until

ONCE = {"per_second": 10_000, "repeat": False}


def test_a_folder_of_sound_is_cut_into_windows_with_hop(tmp_path: Path) -> None:
    (tmp_path / "sounds" / "b").mkdir(parents=True)
    (tmp_path / "sounds" / "b" / "long.wav").write_bytes(make_wav(ramp(220)))
    (tmp_path / "sounds" / "a.WAV").write_bytes(make_wav(ramp(30)))
    (tmp_path / "sounds" / "notes.txt").write_text("no sound")
    (tmp_path / "sounds" / "c.wav").write_bytes(b"RIFFbroken")
    (tmp_path / "sounds" / "d.wav").write_bytes(make_wav(ramp(100), rate_hz=8000))
    items = take_until(Source("wav", {"path": "sounds", "hop_s": 0.05, **ONCE}), SOUND, tmp_path)
    assert [item.name for item in samples(items)] == ["a.WAV@0.000s", *(f"b/long.wav@0.{ms:03d}s" for ms in (0, 50, 100, 150))]
    first, second, third = (item.sample["sound"] for item in samples(items)[:3])
    assert first.dtype == np.float32
    assert first.shape == (100,)
    assert (first[30:] == 0).all()
    np.testing.assert_allclose(second * 32768, np.arange(100))
    np.testing.assert_allclose(third * 32768, np.arange(50, 150))
    dropped = [item for item in items if isinstance(item, SourceDropped)]
    assert [item.name for item in dropped] == ["c.wav", "d.wav"]
    assert "8000 samples per second, the model takes 1000" in dropped[1].reason


def test_a_model_of_any_length_takes_a_file_whole_and_again(tmp_path: Path) -> None:
    (tmp_path / "one.wav").write_bytes(make_wav(ramp(77)))
    spec = ModelSpec("audio-classification", ("a", "b"), (TensorSpec("sound", "float32", (-1,)),), (), {})
    items = take_until(Source("wav", {"path": "one.wav", "per_second": 10_000}), spec, tmp_path, lambda found: len(found) == 3)
    assert [item.sample["sound"].shape for item in samples(items)] == [(77,)] * 3


def test_windows_come_as_fast_as_they_were_recorded(tmp_path: Path) -> None:
    (tmp_path / "one.wav").write_bytes(make_wav(ramp(300)))

    import time

    begun = time.monotonic()
    items = take_until(Source("wav", {"path": "one.wav", "repeat": False}), SOUND, tmp_path)
    assert len(items) == 3
    assert time.monotonic() - begun >= 0.19  # three windows of 0.1 s, the first at once


@pytest.mark.parametrize(
    ("options", "spec", "words"),
    [
        ({"path": "absent.wav"}, SOUND, "does not exist"),
        ({"path": "."}, SOUND, "holds no WAV file"),
        ({"path": "."}, IMAGES, "one float32 input of one axis"),
        ({"path": ".", "rate_hz": 8000}, SOUND, "the model takes 1000 samples per second, the options say 8000"),
    ],
)
def test_what_can_not_be_opened_says_why(tmp_path: Path, options: dict, spec: ModelSpec, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_source(Source("wav", options), spec, tmp_path)
