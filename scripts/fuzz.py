"""Bad bytes at every door of the agent, for a while: `python -m scripts.fuzz`, or `make fuzz`.

Mutated valid inputs go to each parser and to a real agent process. A round is a value of seed, door and number; the
bytes that a door did not stand are kept in `build/fuzz`, and `--door NAME --bytes FILE` gives them again.
"""

import argparse
import hashlib
import tempfile
import time
from pathlib import Path

from tests.edge_agent.fuzz.doors import DOORS
from tests.edge_agent.fuzz.fuzzing import FuzzError, Tally, again, fuzz, give

KEPT = Path(__file__).resolve().parent.parent / "build" / "fuzz"
HEAD = f"{'door':<20}{'rounds':>9}{'taken':>8}{'refused':>9}{'KiB grown':>11}  refused as"


def main() -> int:
    """Run what the command line asks for; 1 where a door did what no door may."""
    asked = _parse()
    if asked.round is not None or asked.bytes is not None:
        return _again(asked)
    print(f"seed {asked.seed}, {asked.seconds:g} s per door\n{HEAD}", flush=True)
    begun = time.monotonic()
    failed = [name for name in asked.door if not _run(name, asked.seconds, asked.seed)]
    print(f"{len(asked.door) - len(failed)} of {len(asked.door)} doors held in {time.monotonic() - begun:.0f} s")
    return 1 if failed else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each door is fed (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other bytes (default: 0)")
    parser.add_argument("--door", action="append", choices=sorted(DOORS), help="only this one; may be given several times")
    parser.add_argument("--round", type=int, help="only this round of one door, with the whole error")
    parser.add_argument("--bytes", type=Path, help="only these bytes, for one door, with the whole error")
    asked = parser.parse_args()
    if (asked.round is not None or asked.bytes is not None) and len(asked.door or ()) != 1:
        parser.error("--round and --bytes need exactly one --door")
    asked.door = asked.door or list(DOORS)
    return asked


def _run(name: str, seconds: float, seed: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="eyelet-fuzz-") as folder:
        try:
            print(_row(name, fuzz(DOORS[name], Path(folder), seconds=seconds, seed=seed)), flush=True)
        except AssertionError as error:
            print(f"{name:<20} FAILED: {error}{_keep(name, error)}", flush=True)
            return False
    return True


def _row(name: str, tally: Tally) -> str:
    kinds = ", ".join(f"{kind[:30]} {count}" for kind, count in tally.refused.most_common(4))
    return f"{name:<20}{tally.rounds:>9}{tally.taken:>8}{tally.refused.total():>9}{tally.grown_bytes >> 10:>11}  {kinds}"


def _keep(name: str, error: AssertionError) -> str:
    """Keep what the door was given; says where."""
    if not isinstance(error, FuzzError) or not error.data:
        return ""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{name}-{hashlib.sha256(error.data).hexdigest()[:8]}.bin"
    path.write_bytes(error.data)
    return f" (kept as {path.relative_to(KEPT.parent.parent)})"


def _again(asked: argparse.Namespace) -> int:
    door = DOORS[asked.door[0]]
    with tempfile.TemporaryDirectory(prefix="eyelet-fuzz-") as name:
        folder = Path(name)
        words = give(door, folder, asked.bytes.read_bytes()) if asked.bytes else again(door, folder, seed=asked.seed, number=asked.round)
    print(words or "taken")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
