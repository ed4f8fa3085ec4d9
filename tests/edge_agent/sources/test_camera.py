"""Without OpenCV only the refusal is tested; with it, a video file and a folder of pictures as OpenCV plays them."""

import sys
from pathlib import Path

import numpy as np
import pytest

from contract.application import Source
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources import camera
from edge_agent.sources.camera import to_rgb
from edge_agent.sources.live import LivePolicy
from edge_agent.sources.source import SourceError, SourceNotice
from edge_agent.sources.table import open_source
from tests.edge_agent.sources.live_sources import IMAGES, ROWS, samples, take_until


def test_without_opencv_it_is_refused_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(SourceError, match="needs OpenCV, which is not installed: pip install opencv-python-headless"):
        open_source(Source("camera", {"device": 0}), IMAGES, tmp_path)


def test_red_stays_red() -> None:
    blue_first = np.zeros((2, 3, 3), np.uint8)
    blue_first[:, :, 2] = 200
    frame = to_rgb(blue_first)
    assert frame[0, 0].tolist() == [200, 0, 0]
    assert frame.flags["C_CONTIGUOUS"]
    assert to_rgb(np.full((2, 3), 7, np.uint8))[1, 2].tolist() == [7, 7, 7]
    with pytest.raises(InputError, match="the camera gives"):
        to_rgb(np.zeros((2, 3, 2), np.uint8))


def test_a_video_is_played_once_each_picture_in_its_turn(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    writer = cv2.VideoWriter(str(tmp_path / "video.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for number in range(5):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[:, :, 2] = 200  # red, as OpenCV orders it
        frame[:, :, 1] = number * 30
        writer.write(frame)
    writer.release()
    items = take_until(Source("camera", {"device": "video.avi", "per_second": 1000}), IMAGES, tmp_path)
    taken = samples(items)
    assert [item.name for item in taken] == [f"video.avi:{number}" for number in range(1, 6)]
    frames = [item.sample["frame"] for item in taken]
    assert frames[0].shape == (48, 64, 3)
    red, green, blue = frames[0].mean(axis=(0, 1))
    assert red > 150
    assert green + blue < 60
    assert [round(float(frame[:, :, 1].mean()) / 30) for frame in frames] == [0, 1, 2, 3, 4]


def test_a_camera_that_is_absent_is_tried_again_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    monkeypatch.setattr(camera, "POLICY", LivePolicy(1, 0.001, 0.01, 0.02))
    items = take_until(Source("camera", {"device": 97}), IMAGES, tmp_path, bool)
    assert items == [SourceNotice("camera 97 can not be opened; it is tried again", failed=True)]


@pytest.mark.parametrize(
    ("options", "spec", "words"),
    [
        ({"device": 0}, ROWS, "one uint8 input"),
        ({"device": "absent.avi"}, IMAGES, "does not exist"),
        ({"device": "gopher://x"}, IMAGES, "no address of a camera"),
        ({"device": "rtsp://x/1", "username": "me", "password": "door"}, IMAGES, "holds no secret 'door'"),
    ],
)
def test_what_can_not_be_opened_says_why(tmp_path: Path, options: dict, spec: ModelSpec, words: str) -> None:
    if spec is IMAGES:
        pytest.importorskip("cv2")
    with pytest.raises(SourceError, match=words):
        open_source(Source("camera", options), spec, tmp_path)


def test_the_password_of_an_address_is_never_said(tmp_path: Path) -> None:
    assert camera._name_of("rtsp://me:hush@10.0.0.7:554/stream?key=1") == "rtsp://10.0.0.7/stream"
