"""A `config.json` that is damaged after it was good: the device starts, says so, and allows no more than it must."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import urllib3
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from benchmarks.running_agent import prepare_home
from contract.package import Package
from edge_agent.home import Home, make_home
from edge_agent.last_good_settings import LAST_GOOD_FILE, InForce, describe_refused, load_settings_in_force, settle_settings
from edge_agent.listening import ListenError
from edge_agent.settings import Settings, SettingsError
from edge_agent.status import read_status
from edge_agent.update.disk import RealDisk
from tests.simulators.agents import AgentProcess
from tests.simulators.waiting import wait_until

GOOD = {"threads": 3, "http_port": 9000, "capture_samples": True, "http_load_unload": True, "callbacks": {"door": "hooks:open"}}
LAST_GOOD = Settings(threads=3, http_port=9000, callbacks={"door": "hooks:open"})
DAMAGED = [
    b"",
    b'{"threads": 3, "http_po',
    bytes(40),
    b"\xff\xfe{}",
    b'{"thread": 3}',
    b'{"threads": 0}',
    b"[" * 5000,
    b'{"http_host": "0.0.0.O"}',
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path)


def write(home: Home, data: bytes) -> None:
    (home.folder / "config.json").write_bytes(data)


def start_well(home: Home) -> None:
    write(home, json.dumps(GOOD).encode())
    assert settle_settings(home) == InForce(msgspec.convert(GOOD, Settings))


@pytest.mark.parametrize("data", DAMAGED)
def test_where_the_file_is_damaged_the_last_good_settings_hold_and_why_is_known(home: Home, data: bytes) -> None:
    start_well(home)
    write(home, data)
    settings, refused = settle_settings(home)
    assert settings == LAST_GOOD, "what it allowed (samples, loading over HTTP) is off"
    assert refused
    assert settle_settings(home).settings == LAST_GOOD, "a start with the copy leaves it as it is"


@pytest.mark.parametrize("data", DAMAGED)
def test_without_a_good_copy_it_is_refused(home: Home, data: bytes) -> None:
    write(home, data)
    with pytest.raises((SettingsError, ListenError)):
        settle_settings(home)
    (home.folder / LAST_GOOD_FILE).write_bytes(data[:-1])
    with pytest.raises((SettingsError, ListenError)):
        settle_settings(home)


def test_wherever_a_power_cut_ends_the_file_the_agent_starts(home: Home) -> None:
    start_well(home)
    whole = json.dumps(GOOD).encode()
    for end in range(len(whole)):
        write(home, whole[:end])
        assert settle_settings(home).settings == LAST_GOOD


LINES = st.dictionaries(st.sampled_from([*GOOD, "activation_windows", "unknown"]), st.integers() | st.text(max_size=3) | st.booleans())
CONTENTS = st.binary(max_size=40) | LINES.map(lambda line: json.dumps(line).encode())


@given(CONTENTS, CONTENTS)
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_lies_there_the_settings_are_whole_or_refused_in_words(home: Home, config: bytes, copy: bytes) -> None:
    write(home, config)
    (home.folder / LAST_GOOD_FILE).write_bytes(copy)
    try:
        settings, refused = settle_settings(home)
    except (SettingsError, ListenError):
        return
    assert not refused or not (settings.capture_samples or settings.http_load_unload)


def test_a_file_that_is_good_again_holds_at_once_and_is_the_next_copy(home: Home) -> None:
    start_well(home)
    write(home, b"{")
    settle_settings(home)
    write(home, b'{"threads": 2}')
    assert settle_settings(home) == InForce(Settings(threads=2))
    write(home, b"{")
    assert settle_settings(home).settings == Settings(threads=2)


def test_a_file_that_was_removed_means_the_defaults_and_a_link_to_nothing_is_damage(home: Home) -> None:
    start_well(home)
    config = home.folder / "config.json"
    config.unlink()
    config.symlink_to(home.folder / "gone.json")
    settings, refused = settle_settings(home)
    assert settings == LAST_GOOD
    assert "gone.json, which is not there" in refused
    config.unlink()
    assert settle_settings(home) == InForce(Settings())
    write(home, b"{")
    assert settle_settings(home).settings == Settings(), "not those of before"


def test_a_copy_of_a_newer_agent_is_read_for_what_this_one_knows(home: Home) -> None:
    write(home, b"{")
    (home.folder / LAST_GOOD_FILE).write_text('{"threads": 3, "threads_of_tomorrow": 7}')
    assert settle_settings(home).settings == Settings(threads=3)


def test_a_disk_that_takes_no_copy_keeps_nobody_from_starting(home: Home) -> None:
    class FullDisk(RealDisk):
        def write(self, path: Path, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    write(home, b'{"threads": 3}')
    assert settle_settings(home, FullDisk()) == InForce(Settings(threads=3))
    assert not (home.folder / LAST_GOOD_FILE).exists()


def test_an_open_door_is_kept_open_only_with_its_token_and_tls(home: Home) -> None:
    write(home, b"{")
    (home.folder / LAST_GOOD_FILE).write_text('{"http_host": "0.0.0.0"}')
    with pytest.raises(ListenError, match="must be set, too"):
        settle_settings(home)


def test_a_worker_goes_on_with_the_last_good_settings_while_the_file_is_damaged(home: Home) -> None:
    start_well(home)
    assert load_settings_in_force(home.folder).capture_samples
    write(home, b"{")
    assert load_settings_in_force(home.folder) == LAST_GOOD
    (home.folder / LAST_GOOD_FILE).unlink()
    with pytest.raises(SettingsError):
        load_settings_in_force(home.folder)


def test_a_real_agent_with_a_damaged_file_serves_and_says_so_everywhere(tmp_path: Path, package: Package) -> None:
    home = prepare_home(tmp_path / "home", package, "onnx-float32")
    write(home, b'{"threads": 1, "activation_windows": ["02:00-04:00"]}')
    settle_settings(home)
    write(home, b'{"threads": 1, "http_prot": 8480}')
    with AgentProcess(home.folder) as agent:
        wait_until(lambda: (status := read_status(home.status)) is not None and "config.json is refused" in str(status.findings), 30)
        assert "The settings of the last good start hold" in agent.read_log()
        assert "the settings of the last good start hold, since config.json is refused" in agent.read_log(), "the event's words"
        doctor = [sys.executable, "-m", "edge_agent.cli", "doctor", "--home", str(home.folder)]
        said = subprocess.run(doctor, capture_output=True, text=True, check=False).stdout
        write(home, b'{"threads": 2}')
        wait_until(lambda: (status := read_status(home.status)) is not None and "config.json is right again" in str(status.findings), 30)
        mended = subprocess.run(doctor, capture_output=True, text=True, check=False).stdout
        page = urllib3.request("GET", f"{agent.endpoint['url']}/", retries=False).data.decode()
    assert f"WRONG Settings: {home.folder / 'config.json'}: " in said
    assert "did you mean 'http_port'?" in said
    assert "activation only 02:00-04:00 (config.json)" in said
    assert "until then it starts with the last good settings, config.last_good.json" in said
    assert "the settings of the last good start hold, since config.json is refused" in said
    for text in (mended, page):
        assert "config.json is right again, but the settings of the last good start hold until the agent is restarted" in text
        assert "is refused" not in text


def test_a_file_that_is_changed_from_one_damage_to_another_is_refused_for_the_newest(home: Home) -> None:
    start_well(home)
    for data, words in (
        (b"{", "can not be read"),
        (b'{"threads": 0}', "`int` >= 1"),
        (b'{"http_host": "0.0.0.O"}', "http_host is an address"),
    ):
        write(home, data)
        finding = describe_refused(home)
        assert "config.json is refused" in finding.text
        assert words in finding.text
    write(home, b"{}")
    assert "right again" in describe_refused(home).text
