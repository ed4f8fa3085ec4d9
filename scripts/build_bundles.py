"""Build the two PyInstaller bundles and start each once; prints size and build time.

The agent's bundle is tried whole with a simulated fleet; the studio shell draws its pages offscreen.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist" / "bundles"


def build(spec: str) -> float:
    """Build one spec; returns seconds."""
    started = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "PyInstaller",
        "--noconfirm",
        "--log-level",
        "ERROR",
        "--distpath",
        str(DIST),
        "--workpath",
        str(ROOT / "build" / "pyinstaller"),
    ]
    if subprocess.run([*command, str(ROOT / "packaging" / "pyinstaller" / spec)], check=False, cwd=ROOT).returncode:
        raise SystemExit(f"{spec} could not be built; what PyInstaller said is above")
    return time.monotonic() - started


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def start_agent(executable: Path, folder: Path) -> None:
    """The frozen agent takes versions, an application and a patch."""
    from scripts.frozen_agent import try_agent

    try:
        try_agent(executable, folder)
    except AssertionError as error:
        raise SystemExit(f"the frozen agent does not work: {error}") from error


def start_studio(executable: Path, folder: Path) -> None:
    """The frozen shell draws its pages."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    subprocess.run([str(executable), "--help"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([str(executable), "--screenshots", str(folder / "pages")], check=True, env=environment, stdout=subprocess.DEVNULL)
    drawn = len(list((folder / "pages").glob("*.png")))
    if not drawn:
        raise SystemExit("the studio shell drew no page")
    print(f"  drew {drawn} pages")


def main() -> None:
    """Build and start both."""
    for spec, name, start in (("agent.spec", "eyelet-agent", start_agent), ("studio_shell.spec", "eyelet-studio", start_studio)):
        seconds = build(spec)
        with tempfile.TemporaryDirectory() as folder:
            start(DIST / name / name, Path(folder))
        print(f"{name}: built in {seconds:.0f} s, {size_of(DIST / name) / 1e6:.0f} MB, works")


if __name__ == "__main__":
    main()
