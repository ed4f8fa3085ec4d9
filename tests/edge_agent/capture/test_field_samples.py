import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from contract.application import Application, CapturePolicy, Source
from edge_agent.capture.field_samples import FieldSamples, open_field_samples
from edge_agent.capture.sample_encoding import encode_sample
from edge_agent.capture.store import list_samples
from edge_agent.settings import Settings
from tests.edge_agent.sinks.test_sinks import RECORD

ALLOWED = Settings(capture_samples=True, capture_per_hour=36000)
FRAME = {"frame": np.random.default_rng(1).integers(0, 256, (20, 30, 3)).astype(np.uint8)}


def application(**policy: float) -> Application:
    return Application(1, "door", 1, "digits", Source("folder"), (), capture=CapturePolicy(**policy))


def opened(folder: Path, settings: Settings = ALLOWED, **policy: float) -> FieldSamples:
    samples = open_field_samples(application(**policy), settings, folder, "main")
    assert samples is not None
    return samples


def offer_all(samples: FieldSamples, scores: list[float]) -> list[bool]:
    chosen = []
    for index, score in enumerate(scores):
        deadline = time.monotonic() + 30
        while samples._waiting.full() and time.monotonic() < deadline:
            time.sleep(0.001)
        chosen.append(samples.offer(FRAME, msgspec.structs.replace(RECORD, score=score, source=f"{index}.png"), float(index)))
    samples.close()
    return chosen


def test_low_scores_are_kept_without_loss(tmp_path: Path) -> None:
    assert offer_all(opened(tmp_path, below_score=0.5), [0.9, 0.4, 0.6, 0.1]) == [False, True, False, True]
    first, second = list_samples(tmp_path / "captured" / "main")
    assert (first.line.source, first.line.reason, first.line.application) == ("1.png", "low score", "door")
    assert second.line.score == 0.1
    np.testing.assert_array_equal(np.asarray(Image.open(first.path)), FRAME["frame"])


@pytest.mark.parametrize(("settings", "policy"), [(Settings(), {"random_share": 1.0}), (Settings(), {})])
def test_a_device_that_does_not_allow_it_keeps_nothing(tmp_path: Path, settings: Settings, policy: dict) -> None:
    assert open_field_samples(application(**policy), settings, tmp_path, "main") is None
    assert not (tmp_path / "captured").exists()


def test_the_devices_own_cap_and_pace_bind_the_application(tmp_path: Path) -> None:
    settings = Settings(capture_samples=True, capture_max_bytes=20_000, capture_per_hour=5)
    samples = opened(tmp_path, settings, random_share=1.0, max_bytes=1 << 30)
    assert offer_all(samples, [0.9] * 8) == [True] * 5 + [False] * 3
    assert sum(path.stat().st_size for path in (tmp_path / "captured" / "main").iterdir()) <= 20_000


def write_hook(folder: Path, name: str, body: str) -> str:
    (folder / "hooks").mkdir(exist_ok=True)
    (folder / "hooks" / f"{name}.py").write_text(body)
    return f"{name}:redact"


def test_a_redaction_hook_sees_a_copy_first_and_may_refuse(tmp_path: Path) -> None:
    hook = write_hook(
        tmp_path,
        "blur_faces_for_test",
        "def redact(sample, line):\n    if line['score'] > 0.5: return None\n    sample['frame'][:10] = 0\n    return sample\n",
    )
    before = FRAME["frame"].copy()
    offer_all(opened(tmp_path, msgspec.structs.replace(ALLOWED, redaction_hook=hook), random_share=1.0), [0.9, 0.4])
    (kept,) = list_samples(tmp_path / "captured" / "main")
    pixels = np.asarray(Image.open(kept.path))
    assert not pixels[:10].any()
    np.testing.assert_array_equal(pixels[10:], before[10:])
    np.testing.assert_array_equal(FRAME["frame"], before)


@pytest.mark.parametrize("body", ["def redact(sample, line): raise ValueError('no')", "def redact(sample, line): return 3"])
def test_a_hook_that_fails_keeps_nothing(tmp_path: Path, body: str) -> None:
    name = f"broken_hook_{len(body)}_for_test"
    settings = msgspec.structs.replace(ALLOWED, redaction_hook=write_hook(tmp_path, name, body))
    offer_all(opened(tmp_path, settings, random_share=1.0), [0.9, 0.9])
    assert list_samples(tmp_path / "captured" / "main") == []


@pytest.mark.parametrize("hook", ["nowhere_to_be_found:redact", "json:redact", "json:__name__", "json"])
def test_a_hook_that_is_not_there_keeps_nothing_at_all(tmp_path: Path, hook: str) -> None:
    settings = msgspec.structs.replace(ALLOWED, redaction_hook=hook)
    assert open_field_samples(application(random_share=1.0), settings, tmp_path, "main") is None


def test_rows_and_sound_are_kept_as_arrays_without_pickles(tmp_path: Path) -> None:
    row = {"age": np.array([3.5], np.float32), "city": np.array(["Köln"], object), "file": np.array([1], np.int64)}
    encoded = encode_sample(row)
    assert encoded.suffix == "npz"
    (tmp_path / "row.npz").write_bytes(encoded.data)
    with np.load(tmp_path / "row.npz", allow_pickle=False) as arrays:
        assert arrays["city"].tolist() == ["Köln"]
        assert arrays["age"].dtype == np.float32
        assert arrays["file"].tolist() == [1]


def test_offering_costs_little_where_nothing_is_kept(tmp_path: Path) -> None:
    samples = opened(tmp_path, below_score=0.1, random_share=1e-9)
    record = msgspec.structs.replace(RECORD, source="camera 0:1")

    def cost() -> float:
        begun = time.perf_counter()
        for _ in range(500):
            samples.offer(FRAME, record, 0.0)
        return (time.perf_counter() - begun) / 500

    best = min(cost() for _ in range(5))
    samples.close()
    assert best < 10e-6
