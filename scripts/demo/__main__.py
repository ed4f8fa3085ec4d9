"""Run the whole loop and say what held: `python -m scripts.demo --folder demo`."""

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from scripts.demo import closing_steps, desk_steps, fleet_steps
from scripts.demo.console import Console
from scripts.demo.programs import StepError
from scripts.demo.state import Demo

STEPS: tuple[Callable[[Demo], None], ...] = (
    desk_steps.import_data,
    desk_steps.train_first,
    desk_steps.convert_first,
    desk_steps.publish_first,
    fleet_steps.start_fleet,
    fleet_steps.roll_out_and_compare,
    fleet_steps.stop_bad_versions,
    fleet_steps.survive_kills,
    closing_steps.ask_endpoint,
    closing_steps.report,
)


def run(demo: Demo, last: int) -> int:
    """Run the steps in order; exit code 0 only if every one held."""
    try:
        for step in STEPS[:last]:
            step(demo)
    except StepError as error:
        demo.console.rich.print(f"\n[bold red]Step {demo.console.step_number} did not hold.[/bold red]")
        demo.console.rich.print(str(error), markup=False)
        demo.console.rich.print(f"Logs: {demo.programs.logs}", markup=False)
        return 1
    except KeyboardInterrupt:
        demo.console.rich.print("\nStopped. Nothing goes on running.")
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        demo.programs.end_all()
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return 0


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="where everything is written; emptied first")
    parser.add_argument("--last-step", type=int, default=len(STEPS), help="stop after this step")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started this in the background
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    console = Console()
    started = time.monotonic()
    try:
        demo = Demo.begin(arguments.folder.resolve(), console)
    except StepError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        code = run(demo, arguments.last_step)
    except Exception:  # noqa: BLE001  (the last resort of a program: show where it broke, keep the exit code honest)
        traceback.print_exc()
        return 1
    console.rich.print(f"\n{'Every step held' if code == 0 else 'Not every step held'}; {time.monotonic() - started:.0f} s.")
    return code


if __name__ == "__main__":
    sys.exit(main())
