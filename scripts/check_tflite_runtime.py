"""Let the LiteRT adapter answer golden samples with the older `tflite-runtime` instead of LiteRT.

In an environment of its own (Python 3.11, numpy 1.26), made by this script, without `ai-edge-litert`.
Packages are made here, one of them by the project's converters, and opened there. Then numpy 2 is put
in the way, with which `tflite-runtime` fails when it is used: the adapter must say so instead. Dynamic
int8 is refused by the adapter, because `tflite-runtime` computes its fully connected layers wrongly.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.agent_pythons import find_python
from scripts.golden_packages import make_golden_packages
from scripts.platform_answers import ROOT, Answers, ask, describe

NOT_POSSIBLE = 2
PYTHON = "3.11"
ENVIRONMENT = ROOT / ".venv-agent-tflite"
FOLDER = ROOT / "build" / "tflite-runtime"
OLDER = ("numpy==1.26.4", "tflite-runtime==2.14.0")
NEWER_NUMPY = "numpy==2.4.6"
ABSENT_WITH_NUMPY_2 = "tflite-runtime needs numpy 1"
REFUSED_RIGHTLY = "it ignores the scale of each row"
REPLACED = ("numpy", "ai-edge-litert", "onnxruntime")


def requirements(project: Mapping[str, Any], extra: str = "agent") -> list[str]:
    """What the agent's extra asks for, with the older runtime and numpy in place of its runtimes and numpy."""
    wanted = [*project["dependencies"], *project["optional-dependencies"][extra]]
    return [text for text in wanted if _name(text) not in REPLACED] + list(OLDER)


def constraints(pinned: str) -> str:
    """The agent's pinned versions but those of what is replaced."""
    return "".join(f"{line}\n" for line in pinned.splitlines() if line.startswith("#") or _name(line) not in REPLACED)


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=;~! ]", requirement)[0].lower()


def make_environment(python: str) -> Path:
    """The environment's interpreter; it is made where it is not there yet."""
    binary = ENVIRONMENT / "bin" / "python"
    if not binary.exists():
        subprocess.run([python, "-m", "venv", str(ENVIRONMENT)], check=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    pins = FOLDER / "constraints.txt"
    pins.write_text(constraints((ROOT / "constraints" / "agent.txt").read_text(encoding="utf-8")), encoding="utf-8")
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pip = [str(binary), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "-c", str(pins), *requirements(project)], check=True, cwd=ROOT)
    newer = FOLDER / "numpy-2"
    if not newer.is_dir():
        subprocess.run([*pip, "--no-deps", "--target", str(newer), NEWER_NUMPY], check=True, cwd=ROOT)
    return binary


def ask_litert(binary: Path, *paths: Path) -> Answers:
    """The LiteRT variants' answers, with `paths` before the environment's own packages."""
    environment = {"PYTHONPATH": ":".join(str(path) for path in (*paths, ROOT)), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    packages = str(FOLDER / "packages")
    return ask([str(binary), "-m", "scripts.golden_answers", "--runtime", "litert", "--packages", packages], environment)


def print_answers(older: Answers, newer: Answers) -> bool:
    """Both runs in words; whether they are as they must be."""
    print(f"numpy 1: {older.platform.get('runtime')}, Python {older.platform.get('python')}")
    for line in describe(older):
        print(f"  {line}")
    print(f"numpy 2: {'; '.join(describe(newer))}")
    return is_right(older) and ABSENT_WITH_NUMPY_2 in str(newer.platform.get("absent"))


def is_right(older: Answers) -> bool:
    """Whether the older library answered, and every variant is as at the desk or refused because of its known fault."""
    taken = str(older.platform.get("runtime")).startswith("tflite-runtime ")
    right = [row["passed"] or REFUSED_RIGHTLY in row.get("error", "") for row in older.rows]
    return taken and not older.failure and all(right) and any(row["passed"] for row in older.rows)


def main() -> int:
    """Prepare, ask twice, print; 1 when an answer is wrong, 2 where the check is not possible."""
    python = find_python(PYTHON)
    if python is None:
        print(f"not possible here because tflite-runtime needs Python {PYTHON}, which was not found; nothing was shown", file=sys.stderr)
        return NOT_POSSIBLE
    try:
        binary = make_environment(python)
    except subprocess.CalledProcessError as error:
        print(f"the environment could not be made: {error}", file=sys.stderr)
        return 1
    shutil.rmtree(FOLDER / "packages", ignore_errors=True)
    make_golden_packages(FOLDER / "packages")
    passed = print_answers(ask_litert(binary), ask_litert(binary, FOLDER / "numpy-2"))
    print(f"tflite-runtime: {'ok' if passed else 'FAILED'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
