"""The sample project: the 1,797 handwritten digits that scikit-learn ships, as one PNG each in a folder per class.

The table is read from the installed package's data file; scikit-learn itself is not imported.
"""

import csv
import gzip
import importlib.util
from pathlib import Path

from desktop_app.errors import SourceError

SIDE = 8
GREY_LEVELS = 16
TABLE = Path("datasets") / "data" / "digits.csv.gz"


def digits_table() -> Path:
    """Where the installed scikit-learn keeps its digits.

    Raises:
        SourceError: it is not installed.
    """
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None or not (Path(found.origin).parent / TABLE).is_file():
        raise SourceError("the sample project needs scikit-learn, which is not installed", "pip install 'eyelet-edge[studio]'")
    return Path(found.origin).parent / TABLE


def write_digits(folder: Path) -> int:
    """Write the digits as `folder/<class>/digit-<number>.png`, 8 × 8 grey pixels each; returns how many."""
    from PIL import Image

    with gzip.open(digits_table(), "rt", encoding="ascii", newline="") as file:
        rows = [[int(float(cell)) for cell in row] for row in csv.reader(file)]
    for number, (*pixels, label) in enumerate(rows):
        target = folder / str(label) / f"digit-{number:04d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        grey = bytes(round(level * 255 / GREY_LEVELS) for level in pixels)
        Image.frombytes("L", (SIDE, SIDE), grey).save(target)
    return len(rows)


def free_folder(parent: Path, name: str) -> Path:
    """`parent/name`, or with the first free number behind it."""
    kept = "".join("-" if c in '/\\:*?"<>|' else c for c in name).strip(". ") or "project"
    candidates = (parent / (kept if number == 1 else f"{kept}-{number}") for number in range(1, 10_000))
    return next(candidate for candidate in candidates if not candidate.exists())
