"""Image bytes to pixels: bounded, upright, RGB. The one decoder of desk and device."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from contract.errors import SizeError
from contract.files import read_bounded
from edge_agent.engine.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

MAX_PIXELS = 64_000_000
MAX_BODY_BYTES = 64 << 20
_BAND_PIXELS = 4_000_000
IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")


def decode_image(body: bytes, max_pixels: int = MAX_PIXELS) -> "np.ndarray":
    """Decode an image to uint8 (H, W, 3) RGB, with the orientation of its EXIF applied.

    Transparency is laid on black; of several pictures (GIF, TIFF) the first is taken.

    Raises:
        InputError: empty, too many pixels, not one of the known formats, or truncated.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not body:
        raise InputError("the image is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(body), formats=IMAGE_FORMATS) as image:
                _check_size(image.size, max_pixels)
                ImageOps.exif_transpose(image, in_place=True)
                return _pixels(image)
    except UnidentifiedImageError as error:
        raise InputError(f"the bytes are no image of a known format ({', '.join(IMAGE_FORMATS)}); they begin with {body[:8]!r}") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"the image has too many pixels, at most {max_pixels} are accepted") from error
    except (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, MemoryError, OverflowError) as error:
        raise InputError(f"the image is broken or truncated: {str(error)[:160]}") from error


def count_pixels(body: bytes) -> int:
    """Pixels by the head of an image, without decoding it; 0 where it is none."""
    from PIL import Image

    with contextlib.suppress(Exception), warnings.catch_warnings():  # decoding it says what is wrong
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(body), formats=IMAGE_FORMATS) as image:
            return image.width * image.height
    return 0


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> "np.ndarray":
    """Decode an image file; see `decode_image`.

    Raises:
        InputError: unreadable, larger than 64 MiB, or no image.
    """
    try:
        body = read_bounded(path, MAX_BODY_BYTES)
    except (OSError, SizeError) as error:
        raise InputError(f"{path.name} can not be read: {error}") from error
    return decode_image(body, max_pixels)


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InputError(f"the image has {width} x {height} pixels, at most {max_pixels} are accepted")


def _pixels(image: "Image.Image") -> "np.ndarray":
    """RGB pixels of a decoded image; a large one is converted in bands, since each copy of it may be all the memory there is."""
    import numpy as np

    width, height = image.size
    rows = max(1, _BAND_PIXELS // width)
    if rows >= height:
        return np.asarray(_to_rgb(image), dtype=np.uint8)
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = np.asarray(_to_rgb(image.crop((0, top, width, bottom))))
    return pixels


def _to_rgb(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if image.mode in {"I;16", "I;16B", "I;16L", "I", "F"}:  # 16 bits per grey level: keep the upper eight
        import numpy as np

        grey = np.asarray(image, dtype=np.float32)
        scale = 257.0 if image.mode != "F" else 1.0
        image = Image.fromarray(np.clip(grey / scale, 0, 255).astype(np.uint8), "L")
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (0, 0, 0, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
