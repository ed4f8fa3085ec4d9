"""A source of frames whose numbers tell at the sink what was lost: a folder of numbered pictures, and a file of answers."""

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.small_models import SIDE, make_sample
from contract.application import Application, Sink, Source

PER_S = 100
COUNT = 5000


def make_frames(folder: Path) -> Application:
    """Pictures in `folder`, and the application of the benchmarks' CNN that answers 100 of them a second, again and again."""
    images = folder / "frames"
    images.mkdir(parents=True)
    first = images / "000000.png"
    Image.fromarray(np.ascontiguousarray(make_sample("cnn")["frame"][:SIDE, :SIDE])).save(first, compress_level=1)
    for number in range(1, COUNT):
        os.link(first, images / f"{number:06}.png")
    source = Source("folder", {"path": "frames", "per_second": PER_S})
    return Application(1, "frames", 1, "cnn", source, (Sink("jsonl", {"path": "answers.jsonl", "max_bytes": 1 << 30}),))


class Answers:
    """What the sink has: numbers of frames, counted on where the folder begins anew, and when they were answered."""

    def __init__(self, folder: Path) -> None:
        lines = [line for line in (folder / "answers.jsonl").read_text().splitlines(keepends=True) if line.endswith("\n")]
        records = [json.loads(line) for line in lines]
        self.numbers = list(_unrolled(int(record["source"].removesuffix(".png")) for record in records))
        self.at_s = np.array([datetime.fromisoformat(record["at"].replace("Z", "+00:00")).timestamp() for record in records])

    @property
    def lost(self) -> int:
        """Frames that were never answered, though later ones were."""
        return max(self.numbers) + 1 - len(set(self.numbers))

    @property
    def twice(self) -> int:
        """Frames that were answered more than once."""
        return len(self.numbers) - len(set(self.numbers))

    def around(self, moment_s: float) -> tuple[float, int]:
        """After a fault at `moment_s` (wall clock): seconds until the next answer, and frames that were lost by it."""
        after = self.at_s > moment_s
        newest = max(number for number, later in zip(self.numbers, after, strict=True) if not later)
        near = set(range(max(0, newest - 20), newest + 20))
        return float(self.at_s[after].min() - moment_s), len(near - set(self.numbers))

    @property
    def gaps_s(self) -> np.ndarray:
        """Seconds between one answer and the next."""
        return np.diff(np.sort(self.at_s))


def _unrolled(numbers: Iterator[int]) -> Iterator[int]:
    """0, 1, …, 4999, 0, 1 as 0, 1, …, 4999, 5000, 5001; two workers may write a few in another order."""
    rounds, last = 0, 0
    for number in numbers:
        if number < last - COUNT // 2:
            rounds += 1
        elif number > last + COUNT // 2 and rounds:
            yield number + (rounds - 1) * COUNT
            continue
        last = number
        yield number + rounds * COUNT
