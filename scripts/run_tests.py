"""Run the tests on this Python and, beside them, the contract's and the agent's on Python 3.10, where it is installed.

The two runs share the cores from the beginning; what the second printed is shown after the first.
"""

import argparse
import subprocess
import sys
import tempfile
from typing import IO

from scripts.agent_pythons import ROOT, find_python, make_environment, tests_command

OLDEST = "3.10"


def start_on_oldest(log: IO[bytes], jobs: int) -> "subprocess.Popen[bytes] | None":
    """None where that Python is not on this machine."""
    python = find_python(OLDEST)
    if python is None:
        print(f"Python {OLDEST}: not on this machine, nothing is shown for it", flush=True)
        return None
    binary = make_environment(python, OLDEST, tests=True)
    return subprocess.Popen(tests_command(binary, jobs), cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def run_beside(jobs: int, log: IO[bytes]) -> bool:
    """Both runs; one more process has a core's worth of waiting to fill where there is but one run."""
    oldest = start_on_oldest(log, jobs)
    own = jobs if oldest else jobs + 1
    try:
        passed = subprocess.run([sys.executable, "-m", "pytest", "-n", str(own)], check=False, cwd=ROOT).returncode == 0
        return (oldest is None or oldest.wait() == 0) and passed
    finally:
        if oldest is not None and oldest.poll() is None:
            oldest.terminate()
            oldest.wait()


def main() -> int:
    """Not zero where a test failed in either."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="test processes of each of the two runs")
    with tempfile.TemporaryFile() as log:
        passed = run_beside(parser.parse_args().jobs, log)
        if log.seek(0, 2):
            log.seek(0)
            print(f"\nPython {OLDEST}, the contract's and the agent's tests:", flush=True)
            sys.stdout.buffer.write(log.read())
            sys.stdout.flush()
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
