"""Reading one image file that nobody vouches for: bound, look at its header, decode it once."""

import hashlib
import os
import re
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_agent.engine.decoding import IMAGE_FORMATS, MAX_BODY_BYTES, MAX_PIXELS

if TYPE_CHECKING:
    from PIL import Image

SEVERAL_FRAMES = {"GIF", "TIFF", "PNG", "WEBP"}  # a JPEG with previews inside (MPO) is one picture
_TURNED = {5, 6, 7, 8}  # EXIF orientations that swap width and height
_ORIENTATION_TAG = 0x0112
MIN_TEXT_SHARE = 0.95


class UnusableImageError(Exception):
    """Why an image file is not taken; for the report, not for a traceback."""


class ReadImage(NamedTuple):
    """A verified image: its bytes, digest, width and height in pixels, upright."""

    body: bytes
    sha256: str
    width: int
    height: int


def read_image_file(path: Path, max_bytes: int = MAX_BODY_BYTES, max_pixels: int = MAX_PIXELS) -> ReadImage:
    """Read and verify one image file.

    Raises:
        UnusableImageError: with the reason in words.
    """
    body = _read(path, max_bytes)
    width, height = check_image(body, max_pixels)
    return ReadImage(body, hashlib.sha256(body).hexdigest(), width, height)


def _read(path: Path, max_bytes: int) -> bytes:
    """The file's bytes; a pipe or device is never opened, a huge file never read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except PermissionError as error:
        raise UnusableImageError("no permission to read it") from error
    except OSError as error:
        raise UnusableImageError(f"it can not be opened: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise UnusableImageError("it is no ordinary file")
        if found.st_size == 0:
            raise UnusableImageError("it is empty (0 bytes)")
        if found.st_size > max_bytes:
            raise UnusableImageError(f"it has {found.st_size:,} bytes, at most {max_bytes:,} are accepted")
        try:
            return file.read(max_bytes + 1)
        except OSError as error:
            raise UnusableImageError(f"it can not be read: {error.strerror}") from error


def check_image(body: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height of an image that decodes; its pixels are counted before they are decoded.

    Raises:
        UnusableImageError: no image of a known format, too many pixels, several frames, or damaged.
    """
    import io

    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(body), formats=IMAGE_FORMATS) as image:
            return _check_opened(image, max_pixels)
    except UnusableImageError:
        raise
    except UnidentifiedImageError as error:
        raise UnusableImageError(_what_is_it(body)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        counted = re.search(r"\((\d+) pixels\)", str(error))
        found = f"{int(counted[1]):,}" if counted else "too many"
        raise UnusableImageError(f"it has {found} pixels, at most {max_pixels:,} are accepted") from error
    except MemoryError as error:
        raise UnusableImageError("it needs more memory than there is") from error
    except (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError, struct.error) as error:
        raise UnusableImageError(f"it is truncated or damaged: {str(error)[:160]}") from error


def _check_opened(image: "Image.Image", max_pixels: int) -> tuple[int, int]:
    width, height = image.size
    if width * height > max_pixels:
        raise UnusableImageError(f"it has {width:,} × {height:,} = {width * height:,} pixels, at most {max_pixels:,} are accepted")
    if image.format in SEVERAL_FRAMES and getattr(image, "n_frames", 1) > 1:
        raise UnusableImageError(f"it holds {getattr(image, 'n_frames', 1)} pictures; expected one")
    turned = image.getexif().get(_ORIENTATION_TAG) in _TURNED
    image.draft("L", (max(width // 8, 1), max(height // 8, 1)))  # a JPEG is read to its end, but scaled down on the way
    image.load()
    return (height, width) if turned else (width, height)


def _what_is_it(body: bytes) -> str:
    """A refusal that says what the bytes look like."""
    head = body[:512]
    try:
        text = head.decode("utf-8", errors="strict" if len(body) <= len(head) else "ignore")
    except UnicodeDecodeError:
        text = ""
    known = ", ".join(IMAGE_FORMATS)
    if text and sum(c.isprintable() or c.isspace() for c in text) >= MIN_TEXT_SHARE * len(text):
        return f"it is text, no image; expected {known}"
    return f"it is no image of a known format ({known}); it begins with {head[:4].hex(' ')}"
