"""WAV files, one or a folder of them in the order of their names, in windows of the model's length; files wait, none is dropped."""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from contract.errors import SizeError
from contract.files import read_bounded
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.waveforms import Waveform, decode_wav, frame_waveform, takes_sound
from edge_agent.sources.pace import Pace
from edge_agent.sources.sound_windows import SoundWindows, plan_windows
from edge_agent.sources.source import Item, Options, SourceDropped, SourceError, SourceSample, name_of_file, resolve, text_of_name

WAV_SUFFIXES = frozenset({".wav", ".wave"})
WAV_MAX_BYTES = 1 << 30


class WavOptions(Options, frozen=True):
    """`hop_s` seconds from window to window (0: a window's length); `per_second` windows per second (0: as fast as they were recorded)."""

    path: str
    hop_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    per_second: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 0.0
    repeat: bool = True
    rate_hz: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


class WavSource:
    """See the module."""

    live_slots = 0

    def __init__(self, options: WavOptions, spec: ModelSpec, data_folder: Path) -> None:
        self._options = options
        self._spec = spec
        self._windows = plan_windows(spec, options.hop_s, options.rate_hz)
        path = resolve(options.path, data_folder)
        self._files = list_sounds(path) if path.is_dir() else [path]
        self._root = path if path.is_dir() else path.parent
        if not path.exists():
            raise SourceError(f"{path} does not exist")

    async def items(self) -> AsyncGenerator[Item, None]:
        """One window after the other; a broken file is reported as dropped."""
        options = self._options
        pace = Pace(options.per_second) if options.per_second else None
        while True:
            for path in self._files:
                for item, hop_s in read_windows(path, name_of_file(path, self._root), self._spec, self._windows):
                    pace = pace or Pace(1 / hop_s)
                    await pace.wait()
                    yield item
            if not options.repeat:
                return


def list_sounds(folder: Path) -> list[Path]:
    """WAV files below a folder, by suffix, sorted by their path.

    Raises:
        SourceError: it can not be read, or holds none.
    """
    try:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in WAV_SUFFIXES and path.is_file())
    except OSError as error:
        raise SourceError(f"{folder} can not be read: {error}") from error
    if not files:
        raise SourceError(f"{folder} holds no WAV file")
    return files


def read_windows(path: Path, name: str, spec: ModelSpec, windows: SoundWindows) -> Iterator[tuple[Item, float]]:
    """Every window of a file, named by the second at which it begins, with the seconds to the next."""
    try:
        sound = _read(path, windows)
        length, hop = windows.samples_of(sound)
        frames = frame_waveform(sound.samples, length, hop, pad_end=True)
    except InputError as error:
        yield SourceDropped(name, str(error)), 1.0
        return
    hop_s = hop / sound.rate_hz
    for index, frame in enumerate(frames):
        yield SourceSample(f"{name}@{index * hop_s:.3f}s", {spec.inputs[0].name: frame}), hop_s


def _read(path: Path, windows: SoundWindows) -> Waveform:
    try:
        sound = decode_wav(read_bounded(path, WAV_MAX_BYTES))
    except (OSError, SizeError) as error:
        raise InputError(f"{text_of_name(path.name)} can not be read: {error}") from error
    windows.check_rate(sound.rate_hz)
    return sound


def open_source(options: WavOptions, spec: ModelSpec, data_folder: Path) -> WavSource:
    """Find the files; raises `SourceError`."""
    if not takes_sound(spec):
        raise SourceError("WAV files need a model with one float32 input of one axis, a waveform")
    return WavSource(options, spec, data_folder)
