"""Build a Debian package of the agent and try it: installed, upgraded, removed and purged below a temporary root.

The package holds the PyInstaller bundle (`scripts/build_bundles.py`), the systemd unit and its users.
"""

import argparse
import gzip
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tomllib

from scripts.build_bundles import DIST, build, size_of, start_agent

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "packaging" / "deb"
UNITS = ROOT / "packaging" / "systemd"
OUT = ROOT / "dist" / "deb"
PACKAGE = "eyelet-agent"
LIBRARY = Path("usr/lib/eyelet-agent")
HOME = Path("var/lib/eyelet-agent")
SCRIPTS = ("postinst", "prerm", "postrm")
MAINTAINER = "Eyelet <eyelet@localhost>"


def agent_version() -> str:
    """The version in `pyproject.toml`, which is also what the agent says of itself."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def lay_out(tree: Path, bundle: Path) -> None:
    """Write everything but the control files below `tree`, as it will lie on the device."""
    shutil.copytree(bundle, tree / LIBRARY, symlinks=True)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin" / PACKAGE).symlink_to(Path("../lib/eyelet-agent") / PACKAGE)
    _copy(UNITS / "eyelet-agent.service", tree / "usr/lib/systemd/system/eyelet-agent.service")
    _copy(UNITS / "sysusers.d" / "eyelet-agent.conf", tree / "usr/lib/sysusers.d/eyelet-agent.conf")
    _copy(RECIPE / "config.json", tree / "etc/eyelet-agent/config.json")
    documents = tree / "usr/share/doc" / PACKAGE
    _copy(ROOT / "README.md", documents / "README.md")
    _copy(ROOT / "LICENSE", documents / "copyright")
    (documents / "changelog.gz").write_bytes(gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), 9, mtime=0))


def write_control(tree: Path, version: str, maintainer: str) -> None:
    """Write `DEBIAN/`: the recipe with this build's numbers."""
    folder = tree / "DEBIAN"
    folder.mkdir()
    text = (RECIPE / "control").read_text(encoding="utf-8")
    for name, value in {
        "VERSION": version,
        "ARCHITECTURE": _output("dpkg", "--print-architecture").strip(),
        "MAINTAINER": maintainer,
        "INSTALLED_KIB": str(-(-size_of(tree) // 1024)),
        "LIBC": platform.libc_ver()[1],
    }.items():
        text = text.replace(f"@{name}@", value)
    (folder / "control").write_text(text, encoding="utf-8")
    _copy(RECIPE / "conffiles", folder / "conffiles")
    for name in SCRIPTS:
        _copy(RECIPE / name, folder / name, mode=0o755)


def build_deb(bundle: Path, out: Path, version: str, maintainer: str = MAINTAINER) -> Path:
    """The package's path; `version` is the agent's with the package's own after a dash."""
    if not (bundle / PACKAGE).is_file():
        raise SystemExit(f"{bundle} is no bundle of the agent: it has no {PACKAGE}; `make bundles` builds one")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=out) as folder:
        tree, made = Path(folder) / "tree", Path(folder) / "made"
        made.mkdir()
        lay_out(tree, bundle)
        write_control(tree, version, maintainer)
        tree.chmod(0o755)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "-z3", "--build", tree, made], check=True, stdout=subprocess.DEVNULL)
        (deb,) = made.iterdir()
        return deb.replace(out / deb.name)  # packing takes a minute; what is there is whole


def make_root(root: Path) -> None:
    """An empty system that dpkg takes for its own."""
    for name in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log", "etc", "var/lib"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("var/lib/dpkg/status", "etc/passwd", "etc/group"):
        (root / name).touch()


def dpkg(root: Path, *arguments: str | Path) -> None:
    """Run dpkg on `root`; the maintainer scripts run with DPKG_ROOT and touch nothing outside it."""
    options = [f"--root={root}", "--force-script-chrootless", "--force-depends", "--force-not-root", "--force-confold"]
    answer = subprocess.run(["dpkg", *options, *arguments], capture_output=True, text=True, check=False, env=_environment())
    if answer.returncode:
        raise SystemExit(f"dpkg {' '.join(map(str, arguments))} failed:\n{answer.stdout}{answer.stderr}")


def try_package(deb: Path, root: Path) -> None:
    """Install, upgrade, remove and purge below `root`; state and settings must outlive all of it."""
    make_root(root)
    dpkg(root, "-i", deb)
    home, config = root / HOME, root / "etc/eyelet-agent/config.json"
    subprocess.run([root / "usr/bin" / PACKAGE, "--help"], check=True, stdout=subprocess.DEVNULL)
    _check((home / "config.json").is_symlink(), "the agent's config.json is not the administrator's file")
    (home / "state").mkdir()
    (home / "state" / "journal.jsonl").write_text("kept", encoding="utf-8")
    config.write_text('{"threads": 2}', encoding="utf-8")
    dpkg(root, "-i", deb)
    _check(config.read_text(encoding="utf-8") == '{"threads": 2}', "an upgrade overwrote the administrator's settings")
    for verb in ("--remove", "--purge"):
        dpkg(root, verb, PACKAGE)
        _check((home / "state" / "journal.jsonl").read_text(encoding="utf-8") == "kept", f"{verb} lost the agent's state")
    _check(not (root / LIBRARY).exists(), "the agent's files are left")


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"the package is wrong: {what}")


def _copy(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _output(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


def main() -> None:
    """Build the bundle where none is given, the package, and try it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="folder of a bundle of the agent; without it one is built")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the package (%(default)s)")
    parser.add_argument("--revision", default="1", help="the package's own version after the agent's (%(default)s)")
    parser.add_argument("--maintainer", default=MAINTAINER, help="who answers for the package (%(default)s)")
    options = parser.parse_args()
    if missing := [tool for tool in ("dpkg-deb", "dpkg") if shutil.which(tool) is None]:
        sys.exit(f"{' and '.join(missing)} is missing: a Debian package is built on Debian or Ubuntu")
    if options.bundle is None:
        print(f"the bundle is built in {build('agent.spec'):.0f} s", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            start_agent(DIST / PACKAGE / PACKAGE, Path(folder))
    deb = build_deb(options.bundle or DIST / PACKAGE, options.out, f"{agent_version()}-{options.revision}", options.maintainer)
    print(_output("dpkg-deb", "--info", deb))
    with tempfile.TemporaryDirectory() as folder:
        try_package(deb, Path(folder) / "root")
    print(
        f"{deb}: {deb.stat().st_size / 1e6:.0f} MB; installed, upgraded, removed and purged below a temporary root: state and settings stay"
    )


if __name__ == "__main__":
    main()
