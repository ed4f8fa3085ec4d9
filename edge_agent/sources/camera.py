"""Pictures of a camera, a network stream or a video file, by OpenCV where that is installed.

`device` is a number (`0` is the first camera), an address (`rtsp://…`, `http://…`) or the path of a
video. Cameras and streams are live. A video is played once at its own pace or `per_second`, each
picture in its turn.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import numpy as np

from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources.device_secrets import SecretName, read_secret, with_account
from edge_agent.sources.live import LivePolicy, Mailbox, ThreadedSource
from edge_agent.sources.source import Options, SourceError, resolve

POLICY = LivePolicy(slots=1, silent_s=10.0)
NETWORK_TIMEOUT_MS = 5000
BROKEN_IN_A_ROW = 10
FALLBACK_PER_SECOND = 25.0

_COLOUR, _GREY = 3, 2


class CameraOptions(Options, frozen=True):
    """`width`, `height` ask the camera for a size in pixels; `per_second` is the most pictures taken (0: all).

    `username` and `password` belong to an address; `password` names a file in the agent's folder `secrets`.
    """

    device: int | str
    width: Annotated[int, msgspec.Meta(ge=0, le=16384)] = 0
    height: Annotated[int, msgspec.Meta(ge=0, le=16384)] = 0
    per_second: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0
    repeat: bool = False
    username: str = ""
    password: SecretName = ""


class CameraCapture:
    """Reads pictures until told to stop."""

    def __init__(self, options: CameraOptions, input_name: str, target: int | str, name: str) -> None:
        self._options = options
        self._input = input_name
        self._target = target
        self._name = name
        self._is_video = isinstance(target, str) and "://" not in target
        self._number = 0

    def __call__(self, box: Mailbox) -> None:
        """See `edge_agent.sources.live.Capture`."""
        while True:
            with self._opened() as video:
                self._play(box, video)
            if not (self._is_video and self._options.repeat) or box.stopped.is_set():
                return

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        cv2 = _opencv()
        hints = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS]
        is_network = isinstance(self._target, str) and "://" in self._target
        video = cv2.VideoCapture(self._target, cv2.CAP_FFMPEG, hints) if is_network else cv2.VideoCapture(self._target)
        try:
            if not video.isOpened():
                raise SourceError(f"{self._name} can not be opened")
            for key, value in ((cv2.CAP_PROP_FRAME_WIDTH, self._options.width), (cv2.CAP_PROP_FRAME_HEIGHT, self._options.height)):
                if value:
                    video.set(key, value)
            if not self._is_video:
                video.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            yield video
        finally:
            video.release()

    def _play(self, box: Mailbox, video: Any) -> None:  # noqa: ANN401  (OpenCV's VideoCapture, without types here)
        broken, due = 0, time.monotonic()
        period_s = self._period_s(video)
        while not box.stopped.is_set():
            if self._is_video:
                box.stopped.wait(max(0.0, due - time.monotonic()))
            got, frame = (video.grab(), None) if not self._is_video and time.monotonic() < due else video.read()
            if not got:
                broken += 1
                if self._is_video:
                    return
                if broken >= BROKEN_IN_A_ROW:
                    raise SourceError(f"{self._name} gives no more pictures")
                box.stopped.wait(0.02)
                continue
            broken = 0
            box.stir()
            if frame is None:  # grabbed only, to keep the driver's queue short
                continue
            due = max(due + period_s, time.monotonic() - period_s)
            self._number += 1
            name = f"{self._name}:{self._number}"
            if not box.put_built(name, lambda picture=frame: {self._input: to_rgb(picture)}, in_turn=self._is_video):  # type: ignore[misc]
                return

    def _period_s(self, video: Any) -> float:  # noqa: ANN401  (OpenCV's VideoCapture)
        if self._options.per_second:
            return 1 / self._options.per_second
        if not self._is_video:
            return 0.0
        own = float(video.get(_opencv().CAP_PROP_FPS))
        return 1 / (own if 0 < own <= 1000 else FALLBACK_PER_SECOND)  # noqa: PLR2004  (a file may claim anything)


def to_rgb(frame: np.ndarray) -> np.ndarray:
    """OpenCV's picture, uint8 (H, W, 3) BGR or (H, W) grey, as uint8 (H, W, 3) RGB.

    Raises:
        InputError: it is neither.
    """
    if frame.dtype == np.uint8 and frame.ndim == _GREY:
        return np.repeat(frame[:, :, None], _COLOUR, axis=2)
    if frame.dtype != np.uint8 or frame.ndim != _COLOUR or frame.shape[2] != _COLOUR:
        raise InputError(f"the camera gives {frame.dtype} {frame.shape}, expected uint8 (H, W, 3)")
    return np.ascontiguousarray(frame[:, :, ::-1])


def _opencv() -> Any:  # noqa: ANN401  (an optional package)
    try:
        import cv2
    except ImportError as error:
        raise SourceError(
            "the source camera needs OpenCV, which is not installed: pip install opencv-python-headless (or apt install python3-opencv)"
        ) from error
    return cv2


def _name_of(target: int | str) -> str:
    """For people and logs: never the password of an address."""
    if isinstance(target, int):
        return f"camera {target}"
    if "://" in target:
        parts = urlsplit(target)
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"[:80]
    return Path(target).name


def open_source(options: CameraOptions, spec: ModelSpec, data_folder: Path) -> ThreadedSource:
    """Check OpenCV, model and path; a camera that is absent is waited for. Raises `SourceError`."""
    if len(spec.inputs) != 1 or spec.inputs[0].dtype != "uint8":
        raise SourceError("a camera needs a model with one uint8 input")
    _opencv()
    target: int | str = int(options.device) if isinstance(options.device, str) and options.device.isdecimal() else options.device
    is_video = False
    if isinstance(target, str) and "://" not in target:
        path = resolve(target, data_folder)
        if not path.exists():
            raise SourceError(f"{path} does not exist")
        is_video, target = path.is_file(), str(path)
    elif isinstance(target, str) and urlsplit(target).scheme not in {"rtsp", "rtsps", "http", "https"}:
        raise SourceError(f"{_name_of(target)!r} is no address of a camera; rtsp, rtsps, http and https are taken")
    name = _name_of(target)
    if options.username and isinstance(target, str) and "://" in target:
        target = with_account(target, options.username, read_secret(options.password, data_folder))
    return ThreadedSource(name, CameraCapture(options, spec.inputs[0].name, target, name), None if is_video else POLICY)
