import io
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.manifest import TensorSpec
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.waveforms import count_windows, decode_wav, frame_waveform, rate_of, takes_sound
from tests.edge_agent.sources.live_sources import make_wav

EDGES = {
    (1, 8): (np.array([0, 128, 255], np.uint8).tobytes(), [-1, 0, 127 / 128]),
    (1, 16): (np.array([-32768, 0, 32767], "<i2").tobytes(), [-1, 0, 32767 / 32768]),
    (1, 24): (b"\x00\x00\x80" + b"\x00\x00\x00" + b"\xff\xff\x7f", [-1, 0, 1 - 2**-23]),
    (1, 32): (np.array([-(2**31), 0, 2**30], "<i4").tobytes(), [-1, 0, 0.5]),
    (3, 32): (np.array([-2, np.nan, 0.25], "<f4").tobytes(), [-1, 0, 0.25]),
    (3, 64): (np.array([-1, 0, 0.25], "<f8").tobytes(), [-1, 0, 0.25]),
}


@pytest.mark.parametrize("coding", EDGES)
def test_every_coding_gives_the_same_range(coding: tuple[int, int]) -> None:
    data, expected = EDGES[coding]
    sound = decode_wav(make_wav(data, code=coding[0], bits=coding[1], rate_hz=8000))
    assert sound.rate_hz == 8000
    assert sound.samples.dtype == np.float32
    np.testing.assert_allclose(sound.samples, expected, atol=1e-7)


def test_files_of_pythons_own_writer_are_read_and_channels_averaged() -> None:
    body = io.BytesIO()
    with wave.open(body, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.array([[100, 300], [-32768, 0]], "<i2").tobytes())
    sound = decode_wav(body.getvalue())
    assert sound.rate_hz == 16000
    np.testing.assert_allclose(sound.samples, [200 / 32768, -0.5])


def test_a_recording_that_was_piped_has_no_length_and_is_read_to_its_end() -> None:
    body = bytearray(make_wav(b"\x01\x00" * 5))
    at = body.index(b"data") + 4
    for length in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
        body[at : at + 4] = length
        assert len(decode_wav(bytes(body)).samples) == 5
    assert len(decode_wav(make_wav(b"\x01\x00" * 5)[:-3]).samples) == 3  # cut in the middle of a sample


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no WAV file"),
        (b"ID3\x04 an mp3 file", "no WAV file"),
        (make_wav(b""), "holds no sound"),
        (make_wav(b"\0", code=6, bits=8), "coded as format 6"),
        (make_wav(b"\0\0", bits=12), "12 bits"),
        (make_wav(b"\0\0", channels=0), "0 channels"),
        (make_wav(b"\0\0", rate_hz=0), "at 0 Hz"),
        (make_wav(b"\0\0")[:30], "cut short"),
        (make_wav(b"\0\0")[:12], "holds no sound"),
    ],
)
def test_what_is_no_sound_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        decode_wav(body)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 60), st.integers(0, 255))
def test_bad_bytes_are_refused_or_read_and_nothing_else(rest: bytes, position: int, value: int) -> None:
    body = bytearray(make_wav(rest))
    body[min(position, len(body) - 1)] = value
    try:
        sound = decode_wav(bytes(body))
    except InputError:
        return
    assert sound.samples.dtype == np.float32
    assert len(sound.samples) <= len(rest) + 4
    assert np.isfinite(sound.samples).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 25), st.booleans())
def test_windows_are_those_of_the_plain_definition(total: int, length: int, hop: int, pad_end: bool) -> None:
    sound = np.arange(1, total + 1, dtype=np.float32)
    expected, begin, covered = [], 0, 0
    while begin + length <= total or (pad_end and begin < total and covered < total):
        part = sound[begin : begin + length]
        expected.append(np.pad(part, (0, length - len(part))))
        covered = begin + length
        begin += hop
    assert count_windows(total, length, hop, pad_end=pad_end) == len(expected)
    if expected:
        np.testing.assert_array_equal(frame_waveform(sound, length, hop, pad_end=pad_end), np.array(expected))
    else:
        with pytest.raises(InputError, match="one window needs"):
            frame_waveform(sound, length, hop, pad_end=pad_end)


def test_which_models_take_sound_and_at_which_rate() -> None:
    def spec(*inputs: TensorSpec) -> ModelSpec:
        return ModelSpec("audio-classification", ("a", "b"), inputs, (), {})

    assert takes_sound(spec(TensorSpec("x", "float32", (16000,))))
    assert takes_sound(spec(TensorSpec("x", "float32", (-1,))))
    assert not takes_sound(spec(TensorSpec("age", "float32", (1,))))
    assert not takes_sound(spec(TensorSpec("x", "float32", (10, 2))))
    assert not takes_sound(spec(TensorSpec("x", "float32", (10,)), TensorSpec("y", "float32", (10,))))
    assert rate_of(TensorSpec("x", "float32", (1,), units="16000 Hz")) == 16000
    assert rate_of(TensorSpec("x", "float32", (1,), units="years")) is None
