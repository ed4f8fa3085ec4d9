"""A membership whose pinned addresses are none any more keeps the device from its fleet, not from its work."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge_agent.enrolment import EnrolmentError, EnrolmentRecord, enrol
from edge_agent.fleet_link import LinkError, parse_address
from edge_agent.fleet_membership import Membership
from edge_agent.home import Home, make_home
from edge_agent.http_client import HttpError, ServerHttp
from edge_agent.settings import Settings
from tests.simulators.agents import AgentProcess
from tests.simulators.fleet import FleetSimulator
from tests.simulators.waiting import wait_until

DEVICE = "member-1"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetSimulator]:
    with FleetSimulator(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture
def home(tmp_path: Path, fleet: FleetSimulator) -> Home:
    home = make_home(tmp_path / "home")
    enrol(home, fleet.make_claim(DEVICE), hardware_class="test", agent_version="0.1.0")
    return home


def change(home: Home, **fields: str) -> None:
    path = home.identity / "enrolment.json"
    record = msgspec.json.decode(path.read_bytes(), type=EnrolmentRecord)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(record, **fields)))


@pytest.mark.parametrize("url", ["http://[", "ftp://server", "http://server:99999", "nonsense", ""])
def test_an_address_of_a_server_that_is_none_is_told(home: Home, url: str) -> None:
    with pytest.raises(HttpError, match="is no http or https address"):
        ServerHttp(url)
    change(home, server_url=url)
    membership = Membership(home, Settings())
    assert (membership.is_member, membership.http, membership.repository) == (True, None, None)
    assert "can not be asked" in membership.trouble
    assert not membership.is_readable_now(), "a start anew would not help"


@pytest.mark.parametrize("url", ["mqtt://[", "mqtt://x:99999", "http://x", "mqtt://", ""])
def test_an_address_of_a_broker_that_is_none_is_refused_in_words(url: str) -> None:
    with pytest.raises(LinkError, match="is no mqtt or mqtts address"):
        parse_address(url)


def test_ports_and_tls_of_an_address() -> None:
    assert parse_address("mqtt://x") == ("x", 1883, False)
    assert parse_address("mqtts://x:5") == ("x", 5, True)


def test_an_agent_with_both_addresses_wrong_runs(home: Home) -> None:
    change(home, server_url="http://[", mqtt_url="mqtt://[")
    with AgentProcess(home.folder) as agent:
        wait_until(lambda: "can not be asked" in agent.log.read_text(), 20, agent.read_log)
        assert agent.stop() == 0


def test_an_identity_that_can_be_read_again_is_noticed(home: Home) -> None:
    password = (home.identity / "password").read_bytes()
    (home.identity / "password").unlink()
    membership = Membership(home, Settings())
    assert (membership.is_member, membership.is_readable_now()) == (True, False)
    (home.identity / "password").write_bytes(password)
    assert membership.is_readable_now()


def test_an_enrolment_that_the_disk_does_not_take_is_no_enrolment(tmp_path: Path, fleet: FleetSimulator) -> None:
    home = make_home(tmp_path / "home")
    (home.identity / "director.json").mkdir()
    (home.identity / "director.json" / "x").touch()
    with pytest.raises(EnrolmentError, match="can not be written"):
        enrol(home, fleet.make_claim(DEVICE), hardware_class="test", agent_version="0.1.0")
    assert not Membership(home, Settings()).is_member
