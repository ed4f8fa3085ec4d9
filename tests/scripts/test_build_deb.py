"""A Debian package around a bundle that is a shell script: built, looked into, installed, upgraded and purged below another root."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.build_deb import HOME, LIBRARY, PACKAGE, SCRIPTS, agent_version, build_deb, dpkg, make_root, try_package

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None or shutil.which("dpkg") is None, reason="dpkg is not on this machine")


def make_bundle(folder: Path, says: str) -> Path:
    program = folder / PACKAGE
    (folder / "_internal").mkdir(parents=True)
    (folder / "_internal" / "base_library.zip").write_bytes(b"PK")
    program.write_text(f"#!/bin/sh\necho {says}\n")
    program.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deb")
    return build_deb(make_bundle(folder / "bundle", "one"), folder / "out", f"{agent_version()}-1")


def ask(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_it_says_what_it_is(deb: Path) -> None:
    fields = dict(line.split(": ", 1) for line in ask("dpkg-deb", "--field", deb).splitlines() if not line.startswith(" "))
    assert (fields["Package"], fields["Version"]) == (PACKAGE, f"{agent_version()}-1")
    assert fields["Architecture"] == ask("dpkg", "--print-architecture").strip()
    assert int(fields["Installed-Size"]) > 0
    assert "@" not in deb.name
    assert not [value for value in fields.values() if value.startswith("@")]


def test_it_holds_the_program_its_unit_its_users_and_its_settings(deb: Path) -> None:
    lines = ask("dpkg-deb", "--contents", deb).splitlines()
    paths = {line.split(" ./", 1)[1].split(" -> ")[0]: line for line in lines if " ./" in line}
    for path in (
        f"{LIBRARY}/{PACKAGE}",
        f"usr/bin/{PACKAGE}",
        "usr/lib/systemd/system/eyelet-agent.service",
        "usr/lib/sysusers.d/eyelet-agent.conf",
        "etc/eyelet-agent/config.json",
        "usr/share/doc/eyelet-agent/README.md",
    ):
        assert path in paths
    assert all(" root/root " in line for line in paths.values())
    assert not [path for path in paths if path.startswith("var/")], "what the agent keeps belongs to no package"
    assert f"{PACKAGE} -> ../lib/eyelet-agent/{PACKAGE}" in paths[f"usr/bin/{PACKAGE}"]


def test_installing_upgrading_removing_and_purging_lose_no_state(deb: Path, tmp_path: Path) -> None:
    try_package(deb, tmp_path / "root")


def test_an_upgrade_brings_the_new_program_and_going_back_the_old_one(deb: Path, tmp_path: Path) -> None:
    newer = build_deb(make_bundle(tmp_path / "bundle", "two"), tmp_path / "out", f"{agent_version()}-2")
    root = tmp_path / "root"
    make_root(root)
    for package, says in ((deb, "one"), (newer, "two"), (deb, "one")):
        dpkg(root, "-i", package)
        assert ask(root / LIBRARY / PACKAGE) == f"{says}\n"


def test_a_config_that_is_there_already_stays(deb: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    make_root(root)
    (root / HOME).mkdir(parents=True)
    (root / HOME / "config.json").write_text('{"threads": 4}')
    dpkg(root, "-i", deb)
    assert (root / HOME / "config.json").read_text() == '{"threads": 4}'


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_maintainer_script_is_a_shell_script(script: str, deb: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "--control", deb, tmp_path / "control"], check=True)
    subprocess.run(["sh", "-n", tmp_path / "control" / script], check=True)
    assert (tmp_path / "control" / script).stat().st_mode & 0o111


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is no bundle of the agent"):
        build_deb(tmp_path, tmp_path / "out", "1-1")


def test_a_package_that_could_not_be_packed_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    packer = tools / "dpkg-deb"
    packer.write_text('#!/bin/sh\nfor last; do :; done\nif [ -d "$last" ]; then last="$last/half.deb"; fi\necho half > "$last"\nexit 1\n')
    packer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(subprocess.CalledProcessError):
        build_deb(make_bundle(tmp_path / "bundle", "one"), tmp_path / "out", "1-1")
    assert list((tmp_path / "out").iterdir()) == []
