"""Enrolment: the identity is whole or not there, and only the server that the token names can give it."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.claims import Claim, build_token
from edge_agent.enrolment import EnrolmentError, enrol, load_identity
from edge_agent.home import Home, make_home
from tests.simulators.fleet import FleetSimulator


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetSimulator]:
    with FleetSimulator(tmp_path_factory.mktemp("fleet") / "fleet") as fleet:
        yield fleet


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


def run(home: Home, token: str, *, again: bool = False) -> None:
    enrol(home, token, hardware_class="pi5", agent_version="0.1.0", again=again)


def test_a_device_pins_what_the_server_gave_and_keeps_its_secrets_to_itself(fleet: FleetSimulator, home: Home) -> None:
    run(home, fleet.make_claim("pi-01"))
    identity = load_identity(home)
    assert identity is not None
    assert (identity.record.fleet, identity.record.device, identity.record.hardware_class) == ("home", "pi-01", "pi5")
    assert identity.root == fleet.tuf.root_bytes
    assert identity.director_key == fleet.director.public
    assert fleet.http.passwords["pi-01"] == identity.password
    assert stat.S_IMODE(home.identity.stat().st_mode) == 0o700
    for name in ("password", "device.key"):
        assert stat.S_IMODE((home.identity / name).stat().st_mode) == 0o600


def test_a_used_token_is_refused(fleet: FleetSimulator, home: Home) -> None:
    token = fleet.make_claim("pi-02")
    run(home, token)
    with pytest.raises(EnrolmentError, match="enrolled already"):
        run(home, token)
    with pytest.raises(EnrolmentError, match="403: the claim is not valid make a new one"):
        run(home, token, again=True)
    assert load_identity(home) is not None, "the old identity stays"


def test_a_server_with_another_root_is_not_the_one_that_was_meant(fleet: FleetSimulator, home: Home) -> None:
    with pytest.raises(EnrolmentError, match="not the server that the token was made for"):
        run(home, fleet.make_claim("pi-03", root_sha256="a" * 64))
    assert load_identity(home) is None


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("hello", "begins with 'eyelet1.'"),
        ("eyelet1.!!!", "cut short or mistyped"),
        (build_token(Claim(1, "c", "http://127.0.0.1:1", "s", "a" * 64, "home", "pi-01", "2020-01-01T00:00:00Z")), "expired at 2020"),
        (build_token(Claim(1, "c", "http://127.0.0.1:1", "s", "a" * 64, "home", "pi-01", "2099-01-01T00:00:00Z")), "can not be reached"),
        (build_token(Claim(1, "c", "ftp://x", "s", "a" * 64, "home", "pi-01", "2099-01-01T00:00:00Z")), "no http or https address"),
        (build_token(Claim(9, "c", "http://x", "s", "a" * 64, "home", "pi-01", "2099-01-01T00:00:00Z")), "schema version 9"),
    ],
)
def test_a_wrong_token_is_refused_in_words(home: Home, token: str, words: str) -> None:
    with pytest.raises(EnrolmentError, match=words):
        run(home, token)


def test_a_damaged_identity_is_named(fleet: FleetSimulator, home: Home) -> None:
    run(home, fleet.make_claim("pi-04"))
    (home.identity / "root.json").write_bytes(b"{}")
    with pytest.raises(EnrolmentError, match="not the TUF root that was pinned"):
        load_identity(home)
    (home.identity / "password").unlink()
    with pytest.raises(EnrolmentError, match="is damaged"):
        load_identity(home)
