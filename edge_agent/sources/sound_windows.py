"""How sound is cut for a model: the length of a window, the hop to the next, and the rate that both count in."""

from typing import NamedTuple

from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.waveforms import Waveform, rate_of, takes_sound
from edge_agent.sources.source import SourceError


class SoundWindows(NamedTuple):
    """`length` in samples, 0 where the model takes any; `rate_hz` 0 where neither model nor options say it."""

    length: int
    hop_s: float
    rate_hz: int

    def check_rate(self, rate_hz: int) -> None:
        """Refuse another rate.

        Raises:
            InputError: it is another.
        """
        if self.rate_hz and rate_hz != self.rate_hz:
            raise InputError(
                f"the sound has {rate_hz} samples per second, the model takes {self.rate_hz}; record or convert it at that rate"
            )

    def samples_of(self, sound: Waveform) -> tuple[int, int]:
        """Length and hop in samples for one file; a model of any length takes it whole."""
        length = self.length or len(sound.samples)
        return length, max(1, round(self.hop_s * sound.rate_hz)) if self.hop_s else length


def plan_windows(spec: ModelSpec, hop_s: float, rate_hz: int) -> SoundWindows:
    """What a model of sound asks for, completed by options.

    Raises:
        SourceError: the model takes no waveform, or says another rate than the options.
    """
    if not takes_sound(spec):
        raise SourceError("sound needs a model with one float32 input of one axis, a waveform")
    tensor = spec.inputs[0]
    said = rate_of(tensor) or 0
    if said and rate_hz and said != rate_hz:
        raise SourceError(f"the model takes {said} samples per second, the options say {rate_hz}; leave rate_hz out")
    return SoundWindows(max(0, tensor.shape[0]), hop_s, said or rate_hz)
