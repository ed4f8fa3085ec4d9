"""Let the agent's engine answer golden samples on aarch64, with the aarch64 wheels, under qemu-user.

Correctness only: under an emulator no time means anything. Packages are made in this environment,
where their golden samples are computed, and opened there. Each runtime answers in a process of its own.
"""

import argparse
import shutil
import subprocess
import sys

from scripts import arm64_root
from scripts.golden_packages import make_golden_packages
from scripts.platform_answers import ROOT, Answers, ask, describe

NOT_POSSIBLE = 2
PROGRAM = ("-m", "scripts.golden_answers")
VECTORS = ROOT / "tests" / "golden" / "host_steps.json"
ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def ask_all(cpu: str) -> dict[str, Answers]:
    """Answers of each runtime, of the host steps and of the supervisor's side, on a core of kind `cpu`."""
    arm64_root.lay_kernel_files(cpu)
    packages = str(arm64_root.FOLDER / "packages")
    questions = {
        "onnx": ("--runtime", "onnx", "--packages", packages),
        "litert": ("--runtime", "litert", "--packages", packages),
        "host steps": ("--vectors", str(VECTORS)),
        "supervisor": ("--supervisor",),
    }
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{arm64_root.FOLDER / 'site'}:{ROOT}"}
    command = [*arm64_root.python_command(cpu), *PROGRAM]
    return {name: ask([*command, *options], environment) for name, options in questions.items()}


def print_answers(cpu: str, answers: dict[str, Answers]) -> bool:
    """One line for each; whether all are right."""
    for name, answer in answers.items():
        where = f"{answer.platform.get('machine', '?')}, Python {answer.platform.get('python', '?')}"
        print(f"{cpu} (as in {arm64_root.BOARDS[cpu].like}), {name}: {answer.platform.get('runtime') or where}")
        for line in describe(answer):
            print(f"  {line}", flush=True)
    foreign = [name for name, answer in answers.items() if answer.platform.get("machine") not in {"aarch64", None}]
    if foreign:
        print(f"  these ran on another machine than aarch64: {', '.join(foreign)}")
    return not foreign and all(answer.passed for answer in answers.values())


def main() -> int:
    """Prepare, ask, print; 1 when an answer is wrong or a runtime fails, 2 where the check is not possible."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", choices=sorted(arm64_root.BOARDS), help="one kind of core instead of all")
    arguments = parser.parse_args()
    reason = arm64_root.missing_here()
    if reason:
        print(f"{reason}; nothing was shown", file=sys.stderr)
        return NOT_POSSIBLE
    try:
        arm64_root.prepare()
    except subprocess.CalledProcessError as error:
        print(f"what the check needs could not be fetched: {error}", file=sys.stderr)
        return 1
    shutil.rmtree(arm64_root.FOLDER / "packages", ignore_errors=True)
    make_golden_packages(arm64_root.FOLDER / "packages")
    passed = [print_answers(cpu, ask_all(cpu)) for cpu in ([arguments.cpu] if arguments.cpu else arm64_root.BOARDS)]
    print(f"aarch64 under qemu-user: {'ok' if all(passed) else 'FAILED'}")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
