"""Check this machine, then create `.venv` and install the pinned versions; standard library only.

Usage: python scripts/set_up.py [--quiet-if-done]
Environment: TORCH_INDEX  index to install torch from (for the CPU build on Linux, the CPU index named on PyTorch's install page)
"""

import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / "constraints" / "all.txt"
STAMP = VENV / "installed.json"
OLDEST, NEWEST = (3, 11), (3, 13)
NEEDED_BYTES = 6 << 30
REQUIRED_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libdbus-1.so.3": "libdbus-1-3",
}
WINDOW_LIBRARIES = {
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
}
CJK_FONT_PACKAGE = "fonts-noto-cjk"


class SetUpError(Exception):
    """Set-up can not go on; the message says what to do."""


def check_python() -> None:
    """Refuse a Python that the pinned versions do not support."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise SetUpError(f"Python 3.11 to 3.13 is needed, this is {sys.version.split()[0]}. Run: make PYTHON=python3.11 …")


def check_disk() -> None:
    """Refuse a disk on which the installation would end half way."""
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
        raise SetUpError(
            f"{NEEDED_BYTES >> 30} GB of free disk are needed in {ROOT}, there are {free / (1 << 30):.1f} GB. Free some and start again."
        )


def is_loadable(library: str) -> bool:
    """Whether the dynamic linker finds a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def has_cjk_font() -> bool:
    """Whether fontconfig knows a font with Chinese characters."""
    if not shutil.which("fc-list"):
        return False
    return bool(subprocess.run(["fc-list", ":lang=zh", "family"], capture_output=True, check=False).stdout.strip())


def check_system_libraries() -> None:
    """Refuse when pages can not even be drawn offscreen; only mention what a visible window needs."""
    if not sys.platform.startswith("linux"):
        return
    missing = [package for library, package in REQUIRED_LIBRARIES.items() if not is_loadable(library)]
    wanted = [package for library, package in WINDOW_LIBRARIES.items() if not is_loadable(library)]
    if not has_cjk_font():
        wanted.append(CJK_FONT_PACKAGE)
    if missing:
        raise SetUpError("Qt needs system libraries. Install them with:\n\n  sudo apt-get install -y " + " ".join(missing + wanted) + "\n")
    if wanted:
        print("For a visible window and Chinese text install, when you like:\n  sudo apt-get install -y " + " ".join(wanted))


def wanted_state() -> dict[str, str]:
    """What decides an installation: the pins, the project's metadata and the Python."""
    digest = hashlib.sha256(CONSTRAINTS.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return {"pins": digest, "python": sys.version.split()[0]}


def is_installed() -> bool:
    """Whether `.venv` holds exactly this state."""
    try:
        return bool(json.loads(STAMP.read_text()) == wanted_state())
    except (OSError, ValueError):
        return False


def pip(*arguments: str) -> None:
    """Run pip of `.venv`; its own progress bars are shown."""
    command = [str(python_of(VENV)), "-m", "pip", "--disable-pip-version-check", "install", *arguments]
    if subprocess.run(command, check=False).returncode:
        raise SetUpError("pip failed; its message is above. Once it is mended, the same command goes on where it stopped.")


def python_of(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def torch_requirement() -> str:
    """Torch by its exact version, as pinned: any looser form may draw other builds."""
    lines = CONSTRAINTS.read_text().splitlines()
    return next(line for line in lines if line.startswith("torch=="))


def announce_torch(index: str | None) -> None:
    """Say so before pip would draw the CUDA packages."""
    if index or not sys.platform.startswith("linux"):
        return
    command = [
        str(python_of(VENV)),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--dry-run",
        "-q",
        "--report",
        "-",
        torch_requirement(),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        names = [entry["metadata"]["name"] for entry in json.loads(answer.stdout[answer.stdout.index("{") :])["install"]]
    except (ValueError, KeyError):
        return
    cuda = [name for name in names if name.lower().startswith(("nvidia-", "cuda", "triton"))]
    if cuda:
        print(
            f"\nNOTE: on this machine pip will draw {len(cuda)} CUDA packages (several gigabytes) with torch.\n"
            "For the much smaller CPU build stop now (Ctrl-C) and start again with TORCH_INDEX set to\n"
            "the CPU index that PyTorch's install page names. Going on in 10 seconds …\n",
            flush=True,
        )
        time.sleep(10)


def install() -> None:
    """Create `.venv` and install torch by its exact version, then the pinned rest, then the project."""
    if not python_of(VENV).exists():
        venv.EnvBuilder(with_pip=True).create(VENV)
    index = os.environ.get("TORCH_INDEX")
    announce_torch(index)
    print("1/3  torch", flush=True)
    pip("-q", "--progress-bar", "on", torch_requirement(), *(["--index-url", index] if index else []))
    print("2/3  the pinned packages (about 2 minutes)", flush=True)
    pip("-q", "--progress-bar", "on", "-r", str(CONSTRAINTS))
    print("3/3  Eyelet", flush=True)
    a_path = ("--config-settings", "editable_mode=compat")  # in place of a finder, whose import doubles the start of every Python
    pip("-q", "--no-deps", "--no-build-isolation", *a_path, "-e", str(ROOT))
    STAMP.write_text(json.dumps(wanted_state()))


def main() -> int:
    """Set up, or say in one paragraph why not."""
    try:
        check_python()
        check_system_libraries()
        if is_installed():
            return 0
        check_disk()
        started = time.monotonic()
        install()
    except SetUpError as error:
        print(f"\nSet-up stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up stopped; the same command goes on where it stopped.", file=sys.stderr)
        return 130
    print(f"Set up in {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
