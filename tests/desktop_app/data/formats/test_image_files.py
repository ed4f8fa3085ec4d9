import contextlib
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from desktop_app.data.formats.image_files import UnusableImageError, check_image, read_image_file
from edge_agent.engine.decoding import decode_image
from tests.desktop_app.data.pictures import huge_png, picture


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
def test_what_is_accepted_is_what_the_engine_decodes(kind: str) -> None:
    body = picture(3, (9, 5), kind)
    assert check_image(body) == (9, 5)
    assert decode_image(body).shape == (5, 9, 3)


def test_a_turned_photo_has_the_size_it_is_seen_with() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    body = encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif)
    assert check_image(body) == (20, 40)
    assert decode_image(body).shape == (40, 20, 3)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"hello, I am a note\n" * 3, "it is text, no image"),
        ("Grüße, 你好\n".encode() * 100, "it is text, no image"),
        (b"\x00\x01\x02\x03" * 50, "no image of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no image"),
        (picture(1, (300, 300), "PNG")[:-40], "truncated or damaged"),
        (picture(1, (300, 300), "JPEG")[:-400], "truncated or damaged"),
        (picture(1)[:20], "truncated or damaged|no image"),
        (huge_png(9000, 9000, with_pixels=False), "9,000 × 9,000 = 81,000,000 pixels"),
    ],
)
def test_unusable_bytes_come_with_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(UnusableImageError, match=reason):
        check_image(body)


def test_a_huge_picture_is_refused_before_its_pixels_are_decoded() -> None:
    for with_pixels in (True, False):  # without pixels decoding would say "truncated"
        with pytest.raises(UnusableImageError, match="400,000,000 pixels"):
            check_image(huge_png(20_000, 20_000, with_pixels=with_pixels))


def test_several_pictures_in_one_file_are_refused() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
    body = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(UnusableImageError, match="holds 3 pictures"):
        check_image(body)


def test_a_file_is_bounded_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.png"
    with path.open("wb") as file:
        file.truncate(5 << 40)
    with pytest.raises(UnusableImageError, match=r"5,497,558,138,880 bytes, at most"):
        read_image_file(path)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnusableImageError, match="no ordinary file"):
        read_image_file(tmp_path / "pipe.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of damage that it reads over
def test_every_broken_beginning_of_a_file_is_refused_and_nothing_else_is_raised() -> None:
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        body = picture(5, (12, 12), kind)
        for cut in range(1, len(body) - 1, max(len(body) // 60, 1)):
            damaged = bytearray(body)
            damaged[cut] ^= 0xFF
            for candidate in (body[:cut], bytes(damaged)):
                with contextlib.suppress(UnusableImageError):  # anything else fails the test
                    assert min(check_image(candidate)) > 0
