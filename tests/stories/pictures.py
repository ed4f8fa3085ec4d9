"""Pictures that a user might have: three colours that a small network tells apart after a few epochs."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (40, 60, 220), "green": (50, 200, 60), "red": (210, 50, 40)}


def write_colours(folder: Path, per_class: int, *, seed: int = 7) -> Path:
    """`folder/<colour>/<number>.png`, 24 x 20 with noise; the same seed gives the same files."""
    random = np.random.default_rng(seed)
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(per_class):
            pixels = np.clip(np.array(colour) + random.normal(0, 30, (20, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number:04}.png")
    return folder


def grey_png(width: int, height: int, row: bytes) -> bytes:
    """A valid 1-bit PNG of any size whose rows are all `row` (cheap: nothing of it is ever in memory at once)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    body = b"".join(packer.compress(b"\0" + row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
