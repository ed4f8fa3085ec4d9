"""What the engine adds to a bare `session.run`: same model, same raw 640 x 480 frame, label out.

Run: `python benchmarks/engine_overhead.py [ROUNDS]`
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.report import at_most, print_claims, say_machine
from benchmarks.small_models import VARIANT, make_package, make_sample, make_session
from benchmarks.timing import compare, print_table
from edge_agent.engine.engine import open_engine

BARE, ENGINE = "bare session.run + argmax", "engine.predict"


def main(rounds: int) -> None:
    """Print one table per model."""
    say_machine(f"one thread, {rounds} rounds in turn")
    ratios = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("cnn", "mlp"):
            package = make_package(Path(folder) / kind, kind)
            session = make_session(package.variant_path(VARIANT).read_bytes())
            labels, sample = package.manifest.labels, make_sample(kind)
            with open_engine(package, VARIANT) as engine:
                bare = lambda session=session, labels=labels, sample=sample: labels[int(session.run(None, sample)[0].argmax())]  # noqa: E731
                assert bare() == engine.predict(sample).label
                works = {BARE: bare, ENGINE: lambda engine=engine, sample=sample: engine.predict(sample)}
                times = compare(works, rounds)
            print_table(f"{kind}: in-process engine against the bare session", times, BARE)
            ratios[kind] = float(np.median(times[ENGINE]) / np.median(times[BARE]))
    print_claims([at_most("engine to bare session.run, cnn at 640 x 480", ratios["cnn"], 1.05, "×")])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
