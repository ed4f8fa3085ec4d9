"""What watching costs per inference: windows and the page of progress, against the same engine unwatched, in turn.

Run: `python benchmarks/agent_windows.py [ROUNDS]`
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.report import at_most, print_claims, print_rows, say_machine
from benchmarks.small_models import VARIANT, make_package, make_sample
from benchmarks.timing import compare
from edge_agent.engine.engine import Engine, open_engine
from edge_agent.worker.progress import make_page
from edge_agent.worker.windows import WindowRecorder

BATCH = 20


def batch_of(predict: Callable[[], object]) -> Callable[[], None]:
    """Twenty in a row, so that the clock costs little."""

    def work() -> None:
        for _ in range(BATCH):
            predict()

    return work


def watched(engine: Engine, labels: tuple[str, ...], sample: dict[str, np.ndarray]) -> dict[str, Callable[[], object]]:
    """The works that are compared: each adds something to the one before."""
    bare, recorder = engine.predict, WindowRecorder(labels, None, 0.0)
    made = make_page()
    if made is not None:
        made[0].watch(engine)
    in_sight = engine.predict
    return {
        "bare loop": lambda: bare(sample),
        "with windows": lambda: recorder.record(bare(sample)),
        "with windows and progress": lambda: recorder.record(in_sight(sample)),
    }


def main(rounds: int) -> None:
    """Print one table."""
    say_machine(f"{rounds} rounds of {BATCH} in turn; the claim: at most 10 µs")
    rows, claims = [], []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("mlp", "cnn"):
            package = make_package(Path(folder) / kind, kind)
            with open_engine(package, VARIANT) as engine:
                works = watched(engine, package.manifest.labels, make_sample(kind))
                times = compare({name: batch_of(work) for name, work in works.items()}, rounds)
            base = times["bare loop"] / BATCH
            base_quiet = np.percentile(base, 10)
            for name, values in times.items():
                each = values / BATCH
                quiet = np.percentile(each, 10) - base_quiet  # what is left when other work is quiet
                medians = f"{np.median(each):.2f}", f"{np.median(each - base):+.2f}", f"{np.median(each / base):.3f}"
                rows.append((kind, name, *medians, f"{quiet:+.2f}"))
            claims.append(
                at_most(f"cost of watching an inference, {kind}", float(quiet), 10, "µs", f"of p10; median of pairs: {rows[-1][3]}")
            )
    print_rows(
        "cost of watching, per inference", ("model", "loop", "p50 µs", "more µs (median of pairs)", "ratio", "more µs (of p10)"), rows
    )
    print_claims(claims)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
