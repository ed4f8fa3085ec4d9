"""The pinned versions of the programs agree with each other and cover what the extras name."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "constraints"


def pins(name: str) -> dict[str, str]:
    found = {}
    for line in (FOLDER / f"{name}.txt").read_text().splitlines():
        pinned, _, marker = line.partition(";")
        if line.startswith("#") or (marker and '>= "3.11"' not in marker):
            continue
        package, _, version = pinned.strip().partition("==")
        found[re.sub(r"[-_.]+", "-", package).lower()] = version.strip()
    return found


@pytest.mark.parametrize("name", ["agent", "agent_tests", "convert", "fleet", "studio"])
def test_each_program_is_pinned_to_the_versions_that_ran_together(name: str) -> None:
    everything = pins("all")
    different = {
        package: (version, everything.get(package)) for package, version in pins(name).items() if everything.get(package) != version
    }
    assert not different


@pytest.mark.parametrize("extra", ["agent", "convert", "fleet", "studio"])
def test_every_requirement_of_an_extra_is_pinned(extra: str) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("reads pyproject.toml, for which Python 3.10 has no reader; the pins are the same on all")
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"][extra]]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;~! ]", text)[0]).lower() for text in wanted} - {"eyelet-edge"}
    assert names <= set(pins(extra))


def test_torch_is_named_by_its_exact_version_everywhere() -> None:
    assert pins("all")["torch"] == pins("convert")["torch"] == pins("studio")["torch"]
    assert '"torch==' in (ROOT / "pyproject.toml").read_text(), "any looser form may draw gigabytes of CUDA packages"
