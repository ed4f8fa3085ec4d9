"""Build the two PyInstaller bundles and start each once; prints size and build time.

The agent's bundle answers a package's golden samples; the studio shell draws its pages offscreen.
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
    subprocess.run([*command, str(ROOT / "packaging" / "pyinstaller" / spec)], check=True, cwd=ROOT)
    return time.monotonic() - started


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def start_agent(executable: Path, folder: Path) -> None:
    """The frozen agent answers the golden samples of a package."""
    from scripts.agent_pythons import make_sample_package

    package, key = make_sample_package(folder)
    subprocess.run([str(executable), "--help"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([str(executable), "predict", str(package), "--key", str(key), "--golden"], check=True)


def start_studio(executable: Path, folder: Path) -> None:
    """The frozen shell draws its pages."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    subprocess.run([str(executable), "--help"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([str(executable), "--screenshots", str(folder / "pages")], check=True, env=environment)
    if not list((folder / "pages").glob("*.png")):
        raise SystemExit("the studio shell drew no page")


def main() -> None:
    """Build and start both."""
    for spec, name, start in (("agent.spec", "eyelet-agent", start_agent), ("studio_shell.spec", "eyelet-studio", start_studio)):
        seconds = build(spec)
        with tempfile.TemporaryDirectory() as folder:
            start(DIST / name / name, Path(folder))
        print(f"{name}: built in {seconds:.0f} s, {size_of(DIST / name) / 1e6:.0f} MB, starts")


if __name__ == "__main__":
    main()
