"""Sound of a microphone, read from `arecord` (ALSA's own recorder) as a child process, in windows of the model's length."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated

import msgspec
import numpy as np

from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.waveforms import decode_pcm
from edge_agent.sources.live import LivePolicy, Mailbox, ThreadedSource
from edge_agent.sources.sound_windows import plan_windows
from edge_agent.sources.source import Options, SourceError

RECORDER = "arecord"
POLICY = LivePolicy(slots=4, silent_s=10.0)
END_S = 1.0
_BYTES_PER_SAMPLE = 2


class MicrophoneOptions(Options, frozen=True):
    """`device` is ALSA's name, e.g. `plughw:1,0`; `hop_s` seconds from window to window (0: a window's length)."""

    device: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_:,.=-]{0,99}$")] = "default"
    hop_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    rate_hz: Annotated[int, msgspec.Meta(ge=0, le=384_000)] = 0
    gain: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0


class MicrophoneCapture:
    """Reads windows until told to stop."""

    def __init__(self, options: MicrophoneOptions, spec: ModelSpec) -> None:
        """Raises SourceError where the model does not say what to record."""
        windows = plan_windows(spec, options.hop_s, options.rate_hz)
        if not windows.length or not windows.rate_hz:
            raise SourceError("a microphone needs a model with a fixed length, and its rate in the input's units or in rate_hz")
        self._options = options
        self._input = spec.inputs[0].name
        self._rate_hz = windows.rate_hz
        self._length = windows.length
        self._hop = max(1, round(windows.hop_s * windows.rate_hz)) if windows.hop_s else windows.length
        self._number = 0

    def __call__(self, box: Mailbox) -> None:
        """See `edge_agent.sources.live.Capture`."""
        with recording(self._options.device, self._rate_hz, box) as stream:
            window = np.zeros(0, np.float32)
            while not box.stopped.is_set():
                sound = self._read(box, stream, self._length - len(window))
                if sound is None:
                    return
                window = np.concatenate([window, sound])
                self._number += 1
                box.put(f"microphone:{self._number}", {self._input: window})
                window = window[self._hop :]
                if self._hop > self._length and self._read(box, stream, self._hop - self._length) is None:
                    return

    def _read(self, box: Mailbox, stream: IO[bytes], count: int) -> np.ndarray | None:
        """`count` samples, a second at a time; None where the recorder ended before."""
        data = bytearray()
        while (missing := count * _BYTES_PER_SAMPLE - len(data)) > 0:
            piece = stream.read(min(missing, self._rate_hz * _BYTES_PER_SAMPLE))
            if not piece:
                return None
            box.stir()
            data += piece
        sound: np.ndarray = np.clip(decode_pcm(bytes(data), 16) * np.float32(self._options.gain), -1, 1)
        return sound


@contextlib.contextmanager
def recording(device: str, rate_hz: int, box: Mailbox) -> Iterator[IO[bytes]]:
    """Raw 16-bit mono of a device; the recorder ends with the block, or as soon as the capture is told to stop.

    Raises:
        SourceError: the recorder is absent or ended by itself, in its own words.
    """
    command = [_recorder(), "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", str(rate_hz), "-D", device]
    with tempfile.TemporaryFile() as words:
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words)
        except OSError as error:
            raise SourceError(f"{RECORDER} can not be started: {error}") from error
        try:
            if child.stdout is None:
                raise SourceError(f"{RECORDER} gave no output")
            with box.ending_with(child.terminate):
                yield child.stdout
        finally:
            _end(child)
        if not box.stopped.is_set():
            words.seek(0)
            last = words.read(4096).decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise SourceError(f"the microphone {device}: {RECORDER} ended: {last[0][:200]}")


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    if child.stdout is not None:
        child.stdout.close()
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _recorder() -> str:
    found = shutil.which(RECORDER)
    if found is None:
        raise SourceError(f"the source microphone needs {RECORDER}, which is not on the PATH: apt install alsa-utils")
    return found


def open_source(options: MicrophoneOptions, spec: ModelSpec, _data_folder: Path) -> ThreadedSource:
    """Check recorder and model; a microphone that is absent is waited for. Raises `SourceError`."""
    capture = MicrophoneCapture(options, spec)
    _recorder()
    return ThreadedSource("microphone", capture, POLICY)
