"""The compared servers' environments: one each in the repository's root, made once, with pinned versions."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
_SHARED = ("onnxruntime==1.32.0", "numpy==2.4.6")
_INSTALL_TIMEOUT_S = 900.0
_REASON_LENGTH = 160

REQUIREMENTS = {
    "litserve": ("litserve==0.2.19", *_SHARED),
    "mlserver": ("mlserver==1.7.1", "uvloop<0.22", *_SHARED),  # its workers crash at their start with uvloop 0.22
    "bentoml": ("bentoml==1.4.39", *_SHARED),
    "fastapi": ("fastapi==0.165.0", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0", *_SHARED),
}


class Environment(NamedTuple):
    """Where a server is installed; `refusal` says why it is not, empty where it is."""

    folder: Path
    refusal: str = ""

    def program(self, name: str) -> str:
        """A program of this environment."""
        return str(self.folder / "bin" / name)


def make_environment(name: str) -> Environment:
    """The environment `.venv-bench-NAME`, installed anew only where its requirements changed."""
    folder = ROOT / f".venv-bench-{name}"
    wanted = "\n".join(REQUIREMENTS[name])
    installed = folder / "installed.txt"
    if installed.exists() and installed.read_text() == wanted:
        return Environment(folder)
    print(f"installing {', '.join(REQUIREMENTS[name])} into {folder.name}", flush=True)
    refusal = _run(sys.executable, "-m", "venv", "--clear", str(folder))
    refusal = refusal or _run(str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *REQUIREMENTS[name])
    if not refusal:
        installed.write_text(wanted)
    return Environment(folder, refusal)


def _run(*command: str) -> str:
    """Empty, or the reason as the program gave it."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)[:_REASON_LENGTH]
    if not done.returncode:
        return ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
    return errors[-1][:_REASON_LENGTH] if errors else f"exit {done.returncode}"
