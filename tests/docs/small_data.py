"""Data for the tutorial where a reader has none at hand: `python -m tests.docs.small_data FOLDER`.

Writes FOLDER/photos (three shapes, one folder each) and FOLDER/trees.csv; the same at every run.
"""

import csv
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

SIDE = 24
SHAPES = ("circle", "square", "triangle")
TREES = {"ash": (5.0, ("green", "yellow")), "beech": (8.0, ("red", "green")), "cedar": (11.0, ("blue", "green"))}


def write_photos(folder: Path, count: int = 60, seed: int = 0) -> None:
    """Write `count` PNG files (24 x 24, RGB) per shape."""
    rng = random.Random(seed)
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
        for number in range(count):
            draw_shape(shape, rng).save(folder / shape / f"{number:03}.png")


def draw_shape(shape: str, rng: random.Random) -> Image.Image:
    """One dark shape on a light ground, its place, size and colours by chance."""
    image = Image.new("RGB", (SIDE, SIDE), tuple(rng.randrange(150, 256) for _ in range(3)))
    radius = rng.randrange(5, 9)
    x, y = (rng.randrange(radius + 1, SIDE - radius - 1) for _ in range(2))
    ink, box = tuple(rng.randrange(110) for _ in range(3)), (x - radius, y - radius, x + radius, y + radius)
    pen = ImageDraw.Draw(image)
    if shape == "circle":
        pen.ellipse(box, fill=ink)
    elif shape == "square":
        pen.rectangle(box, fill=ink)
    else:
        pen.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=ink)
    return image


def write_trees(path: Path, count: int = 240, seed: int = 0) -> None:
    """Write a table of leaves: two lengths, a colour, and the kind of tree."""
    rng = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["length_cm", "width_cm", "colour", "kind"])
        for _ in range(count):
            kind = rng.choice(list(TREES))
            length, colours = TREES[kind]
            table.writerow([f"{rng.gauss(length, 1):.2f}", f"{rng.gauss(length / 2, 0.6):.2f}", rng.choice(colours), kind])


def write_all(folder: Path) -> None:
    """Both, into one folder."""
    write_photos(folder / "photos")
    write_trees(folder / "trees.csv")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
