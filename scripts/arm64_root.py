"""An aarch64 machine in a folder: Debian's Python and libraries, the agent's aarch64 wheels, and qemu to run them.

Nothing is installed into the system and no administrator is needed: apt only downloads, into lists
and archives of its own, and dpkg-deb unpacks.

A program under qemu-user sees the kernel files of the machine beneath it. ONNX Runtime asks
`/proc/cpuinfo` for the kind of every core when it is imported, finds the x86 form, and follows a null
pointer. qemu looks for a file below its root first, so a board's own `/proc/cpuinfo` is laid there.
"""

import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "arm64"
DEBIAN = "12"
PYTHON = "3.11"
PACKAGES = ("python3.11", "libstdc++6")
GLIBC = (17, 24, 26, 27, 28, 31, 34, 35, 36)  # Debian 12 has 2.36
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
EMULATOR_PACKAGE = "qemu-user-static"
CORES = 4
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Board(NamedTuple):
    """A processor that qemu plays: the part number and features that its boards report."""

    like: str
    part: str
    features: str


BOARDS = {
    "cortex-a72": Board("Raspberry Pi 4", "0xd08", "fp asimd evtstrm crc32 cpuid"),
    "cortex-a76": Board(
        "Raspberry Pi 5",
        "0xd0b",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
}


def missing_reason(system: str, release: str, tools: Iterable[str]) -> str | None:
    """Why the check can not be made here, in one sentence; None where it can.

    `system` is the kernel's name, `release` the text of `/etc/os-release` (empty where there is
    none), `tools` those of `apt-get` and `dpkg-deb` that were found.
    """
    fields = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', release, re.MULTILINE))
    here = fields.get("PRETTY_NAME", system)
    if system != "Linux":
        return f"not possible here because qemu-user runs on Linux only, and this is {here}"
    if (fields.get("ID"), fields.get("VERSION_ID")) != ("debian", DEBIAN):
        return f"not possible here because the aarch64 Python and libraries come from Debian {DEBIAN}, and this is {here}"
    lacking = [tool for tool in ("apt-get", "dpkg-deb") if tool not in set(tools)]
    return f"not possible here because {' and '.join(lacking)} is not on this machine" if lacking else None


def missing_here() -> str | None:
    """`missing_reason` of this machine."""
    path = Path("/etc/os-release")
    release = path.read_text(encoding="utf-8") if path.is_file() else ""
    return missing_reason(platform.system(), release, [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool)])


def prepare() -> None:
    """Fetch what is not there yet: about 85 MB for the machine, 70 MB of wheels, and qemu (63 MB) where the system has none.

    Raises:
        subprocess.CalledProcessError: a download failed.
    """
    _once("sysroot", " ".join(PACKAGES), _make_sysroot)
    _once("site", (ROOT / "constraints" / "agent.txt").read_text(encoding="utf-8") + repr(requirements()), _make_site)
    if not any(shutil.which(name) for name in EMULATORS):
        _once("qemu", EMULATOR_PACKAGE, _make_emulator)


def _once(name: str, wanted: str, make: Callable[[Path], None]) -> None:
    """Make the folder `name` anew unless it was made from the same `wanted` before."""
    stamp = FOLDER / f"{name}.done"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    stamp.unlink(missing_ok=True)
    shutil.rmtree(FOLDER / name, ignore_errors=True)
    (FOLDER / name).mkdir(parents=True)
    make(FOLDER / name)
    stamp.write_text(wanted, encoding="utf-8")


def apt_options(folder: Path, architecture: str) -> list[str]:
    """Options with which apt works for another architecture in `folder` and leaves the system's state alone."""
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "Acquire::Languages": "none",
        "Debug::NoLocking": "1",
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Etc::sourceparts": folder / "sources",
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def _download(architecture: str, packages: Iterable[str]) -> list[Path]:
    """The `.deb` files of packages and all they depend on, of the sources that this Debian uses itself."""
    folder = FOLDER / f"apt-{architecture}"
    for name in ("lists/partial", "archives/partial", "sources"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    own = Path("/etc/apt/sources.list.d/debian.sources")  # not the vendors' beside it
    if own.is_file():
        shutil.copyfile(own, folder / "sources" / own.name)
    for old in (folder / "archives").glob("*.deb"):
        old.unlink()
    apt = ["apt-get", "-qq", *apt_options(folder, architecture)]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "install", "--yes", "--download-only", "--no-install-recommends", *packages], check=True)
    return sorted((folder / "archives").glob("*.deb"))


def _unpack(archives: Iterable[Path], folder: Path) -> None:
    for archive in archives:
        subprocess.run(["dpkg-deb", "--extract", str(archive), str(folder)], check=True)


def _make_sysroot(folder: Path) -> None:
    _unpack(_download("arm64", PACKAGES), folder)


def _make_emulator(folder: Path) -> None:
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    archives = _download(architecture, [EMULATOR_PACKAGE])
    _unpack([archive for archive in archives if archive.name.startswith("qemu-user")], folder)


def requirements() -> list[str]:
    """What the agent's extra asks for."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["agent"]]


def download_options() -> list[str]:
    """Options with which pip takes wheels for Debian's Python on aarch64 and nothing else."""
    tags = ["manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in GLIBC)]
    platforms = [part for tag in tags for part in ("--platform", tag)]
    return ["--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON, *platforms]


def _make_site(folder: Path) -> None:
    wheels = FOLDER / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", *download_options()]
    subprocess.run([*pip, "--dest", str(wheels), "-c", "constraints/agent.txt", *requirements()], check=True, cwd=ROOT)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as zipped:
            zipped.extractall(folder)


def cpuinfo(board: Board) -> str:
    """The text of `/proc/cpuinfo` on a board."""
    rows = {
        "BogoMIPS": "108.00",
        "Features": board.features,
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": "0x0",
        "CPU part": board.part,
        "CPU revision": "3",
    }
    cores = [{"processor": str(core), **rows} for core in range(CORES)]
    return "".join("".join(f"{name}\t: {value}\n" for name, value in core.items()) + "\n" for core in cores)


def lay_kernel_files(cpu: str) -> None:
    """Put what the libraries ask the kernel about its cores below the root."""
    sysroot = FOLDER / "sysroot"
    (sysroot / "proc").mkdir(exist_ok=True)
    (sysroot / "proc" / "cpuinfo").write_text(cpuinfo(BOARDS[cpu]), encoding="utf-8")
    folder = sysroot / "sys" / "devices" / "system" / "cpu"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("possible", "present", "online"):
        (folder / name).write_text(f"0-{CORES - 1}\n", encoding="utf-8")
    (folder / "kernel_max").write_text(f"{CORES - 1}\n", encoding="utf-8")


def emulator() -> str:
    """The system's qemu, or the one that was fetched."""
    found = next((path for name in EMULATORS if (path := shutil.which(name))), None)
    return found or str(FOLDER / "qemu" / "usr" / "bin" / EMULATORS[0])


def python_command(cpu: str) -> list[str]:
    """What to put before a Python program's options to run it on a core of kind `cpu`."""
    sysroot = FOLDER / "sysroot"
    return [emulator(), "-cpu", cpu, "-L", str(sysroot), str(sysroot / "usr" / "bin" / f"python{PYTHON}"), "-s"]
