"""What the engine adds to a bare `session.run`: same model, same raw 640 x 480 frame, label out.

Run: `python benchmarks/engine_overhead.py [ROUNDS]`
"""

import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.small_models import VARIANT, make_package, make_sample, make_session
from benchmarks.timing import compare, print_table
from edge_agent.engine.engine import open_engine


def main(rounds: int) -> None:
    """Print one table per model."""
    print(f"{platform.machine()}, Python {platform.python_version()}, one thread, {rounds} rounds in turn")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("cnn", "mlp"):
            package = make_package(Path(folder) / kind, kind)
            session = make_session(package.variant_path(VARIANT).read_bytes())
            labels, sample = package.manifest.labels, make_sample(kind)
            with open_engine(package, VARIANT) as engine:
                bare = lambda session=session, labels=labels, sample=sample: labels[int(session.run(None, sample)[0].argmax())]  # noqa: E731
                assert bare() == engine.predict(sample).label
                works = {"bare session.run + argmax": bare, "engine.predict": lambda engine=engine, sample=sample: engine.predict(sample)}
                times = compare(works, rounds)
            print_table(f"{kind}: in-process engine against the bare session", times, "bare session.run + argmax")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
