import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_agent.engine.decoding import MAX_BODY_BYTES, decode_image, read_image
from edge_agent.engine.errors import InputError


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    body = io.BytesIO()
    image.save(body, kind, **options)
    return body.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_exact_formats_give_their_pixels(kind: str) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (7, 11, 3)).astype(np.uint8)
    decoded = decode_image(saved(Image.fromarray(frame), kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert (decoded == frame).all()
    assert decoded.dtype == np.uint8


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert decode_image(saved(Image.new(mode, (5, 3)), kind)).shape == (3, 5, 3)


def test_sixteen_bits_keep_their_upper_half_and_transparency_lies_on_black() -> None:
    deep = Image.fromarray(np.array([[0, 32896, 65535]], np.uint16))
    assert decode_image(saved(deep, "PNG"))[0, :, 0].tolist() == [0, 128, 255]
    clear = Image.new("RGBA", (1, 1), (200, 100, 50, 0))
    assert decode_image(saved(clear, "PNG")).tolist() == [[[0, 0, 0]]]


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_large_picture_is_converted_in_bands_to_the_same_pixels(mode: str) -> None:
    image = Image.frombytes(mode, (2200, 2048), np.random.default_rng(1).bytes(2200 * 2048 * len(mode)))
    assert (decode_image(saved(image, "TIFF")) == np.asarray(image.convert("RGB"))).all()


def test_exif_turns_the_picture_upright() -> None:
    image = Image.fromarray(np.zeros((2, 6, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_image(saved(image, "JPEG", exif=exif)).shape == (6, 2, 3)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"%PDF-1.4", "no image of a known format"),
        (b"P6\n20000 20000\n255\n", "at most 64000000"),
        (saved(Image.new("RGB", (50, 50)), "PNG")[:60], "broken or truncated"),
        (saved(Image.effect_noise((50, 50), 50), "JPEG")[:300], "broken or truncated"),
    ],
)
def test_what_is_no_image_is_refused_in_words(body: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        decode_image(body)


def test_a_file_is_read_with_a_bound(tmp_path: Path) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(MAX_BODY_BYTES + 1)
    with pytest.raises(InputError, match="larger than"):
        read_image(tmp_path / "large.png")
    with pytest.raises(InputError, match="can not be read"):
        read_image(tmp_path / "absent.png")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]), st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
def test_damaged_images_give_pixels_or_an_input_error(kind: str, position: int, patch: bytes) -> None:
    body = bytearray(saved(Image.effect_noise((16, 12), 50), kind))
    position %= len(body)
    body[position : position + len(patch)] = patch
    with contextlib.suppress(InputError):
        assert decode_image(bytes(body)).ndim == 3
