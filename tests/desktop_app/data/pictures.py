"""Small real pictures and folders of them."""

import io
import struct
import zlib
from pathlib import Path

from PIL import Image


def picture(number: int, size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    """An image that no other number gives."""
    image = Image.new("RGB", size, (number % 256, number // 256 % 256, 128))
    image.putpixel((0, 0), (255 - number % 256, number // 256 % 256, 7))
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def write_classes(folder: Path, counts: dict[str, int], start: int = 0) -> Path:
    """One subfolder per class with that many pictures, all different."""
    number = start
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            (folder / name / f"{index:03d}.png").write_bytes(picture(number))
            number += 1
    return folder


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_png(width: int, height: int, *, with_pixels: bool) -> bytes:
    """A PNG of one bit per pixel, all black; without its pixels only a decoder would notice that it is broken."""
    head = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes((width // 8 + 1) * height), 1) if with_pixels else b""
    return head + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
