"""The pure parts of the check on aarch64; `make check-arm64` does the rest."""

from itertools import pairwise
from pathlib import Path

import pytest

from scripts import arm64_root
from scripts.arm64_root import BOARDS, CORES, apt_options, cpuinfo, download_options, missing_reason

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
TOOLS = ("apt-get", "dpkg-deb")


@pytest.mark.parametrize(
    ("system", "release", "tools", "words"),
    [
        ("Darwin", "", (), "Linux only, and this is Darwin"),
        ("Windows", "", TOOLS, "Linux only, and this is Windows"),
        ("Linux", 'PRETTY_NAME="Ubuntu 24.04"\nID=ubuntu\nVERSION_ID="24.04"\n', TOOLS, "come from Debian 12, and this is Ubuntu 24.04"),
        ("Linux", DEBIAN.replace("12", "13"), TOOLS, "this is Debian GNU/Linux 13"),
        ("Linux", "", TOOLS, "this is Linux"),
        ("Linux", DEBIAN, ("dpkg-deb",), "because apt-get is not on this machine"),
    ],
)
def test_where_it_is_not_possible_one_sentence_says_why(system: str, release: str, tools: tuple[str, ...], words: str) -> None:
    reason = missing_reason(system, release, tools)
    assert reason is not None
    assert reason.startswith("not possible here because ")
    assert words in reason


def test_debian_with_its_tools_is_enough() -> None:
    assert missing_reason("Linux", DEBIAN, TOOLS) is None


@pytest.mark.parametrize("cpu", sorted(BOARDS))
def test_every_core_says_its_part_and_features(cpu: str) -> None:
    cores = cpuinfo(BOARDS[cpu]).strip().split("\n\n")
    assert len(cores) == CORES
    for number, core in enumerate(cores):
        fields = dict(line.split("\t: ") for line in core.splitlines())
        assert (fields["processor"], fields["CPU part"]) == (str(number), BOARDS[cpu].part)
        assert "asimd" in fields["Features"].split()


def test_apt_works_in_the_folder_only(tmp_path: Path) -> None:
    options = dict(option.split("=", 1) for option in apt_options(tmp_path, "arm64")[1::2])
    written = [name for name in options if name.startswith(("Dir::State", "Dir::Cache")) and options[name]]
    assert len(written) >= 5
    assert all(options[name].startswith(str(tmp_path)) for name in written)
    assert options["APT::Architecture"] == options["APT::Architectures"] == "arm64"


def test_pip_takes_wheels_of_aarch64_only() -> None:
    options = download_options()
    platforms = [after for option, after in pairwise(options) if option == "--platform"]
    assert "manylinux_2_28_aarch64" in platforms
    assert all(name.endswith("_aarch64") for name in platforms)
    assert "--only-binary=:all:" in options


def test_a_folder_is_made_again_only_when_what_is_wanted_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64_root, "FOLDER", tmp_path)
    made: list[str] = []
    for wanted in ("one", "one", "two"):
        arm64_root._once("site", wanted, lambda folder: made.append(folder.name))
    assert made == ["site", "site"]


def test_a_folder_whose_making_failed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64_root, "FOLDER", tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("the network is gone")

    with pytest.raises(OSError, match="gone"):
        arm64_root._once("site", "one", fail)
    arm64_root._once("site", "one", lambda folder: (folder / "whole").touch())
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["whole"]
