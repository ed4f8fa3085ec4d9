"""The managed mosquitto: its files, its life as a child process, and what survives a power cut."""

import asyncio
import logging
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from fleet_server.broker.mosquitto import access_rules, configuration, end_leftover, find_mosquitto
from fleet_server.broker.opening import open_broker
from fleet_server.broker.passwords import check_password, hash_password
from fleet_server.broker.settings import BrokerError, parse_address
from tests.fleet_server.broker.clients import PASSWORD, Devices, broker_in_thread, settings_of, topic, wait_until
from tests.simulators.ports import find_free_port

needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")


def test_a_device_may_write_seven_topics_and_read_three_by_its_user_name():
    lines = access_rules("demo").decode().splitlines()
    assert lines[:2] == ["user server", "topic readwrite #"]
    assert sum(line.startswith("pattern write eyelet/v1/demo/%u/") for line in lines) == 7
    assert [line for line in lines if line.startswith("pattern read")] == [
        f"pattern read eyelet/v1/demo/%u/{channel}" for channel in ("ack", "command", "desired")
    ]


def test_the_configuration_lets_nobody_in_unnamed_and_saves_at_every_change(tmp_path):
    lines = configuration(settings_of("mosquitto", tmp_path), 1234).decode().splitlines()
    wanted = {"listener 1234 127.0.0.1", "allow_anonymous false", "use_username_as_clientid true", "autosave_on_changes true"}
    assert wanted | {"message_size_limit 262144", "max_qos 1"} <= set(lines)


@pytest.mark.parametrize("password", ["x", "p" * 200, "é"])
def test_a_verifier_checks_its_own_password_alone(password):
    verifier = hash_password(password)
    assert verifier != hash_password(password)
    assert check_password(password, verifier)
    assert check_password(password.encode(), verifier)
    assert not check_password(password + "x", verifier)


@pytest.mark.parametrize("verifier", [None, "", "x", "$7$101$AA$", "$7$0$AAAA$AAAA", "$7$9999999999$AAAA$AAAA", "$6$AAAA$AAAA", "$7$x$y$z"])
def test_a_broken_or_absent_verifier_checks_nothing(verifier):
    assert not check_password("anything", verifier)


@pytest.mark.skipif(shutil.which("mosquitto_passwd") is None, reason="mosquitto is not installed")
def test_mosquittos_own_verifiers_are_understood(tmp_path):
    subprocess.run(["mosquitto_passwd", "-b", "-c", "-H", "sha512-pbkdf2", str(tmp_path / "file"), "pi-01", PASSWORD], check=True)
    name, _, verifier = (tmp_path / "file").read_text().strip().partition(":")
    assert name == "pi-01"
    assert check_password(PASSWORD, verifier)


def test_an_absent_mosquitto_is_said_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr("fleet_server.broker.mosquitto.find_mosquitto", lambda: None)

    async def start():
        async with open_broker(settings_of("mosquitto", tmp_path), Devices()):
            pass

    with pytest.raises(BrokerError, match="apt install mosquitto"):
        asyncio.run(start())


@needs_mosquitto
def test_a_configuration_that_mosquitto_refuses_is_reported_with_its_words(tmp_path):
    async def start():
        missing = {"tls_cert": tmp_path / "no.pem", "tls_key": tmp_path / "no.key"}
        async with open_broker(settings_of("mosquitto", tmp_path, **missing), Devices()):
            pass

    with pytest.raises(BrokerError, match="ended at once: OpenSSL"):
        asyncio.run(start())


@needs_mosquitto
def test_what_mosquitto_says_outside_its_log_goes_into_the_servers_at_debug(tmp_path, capfd, caplog, monkeypatch):
    async def start():
        async with open_broker(settings_of("mosquitto", tmp_path), Devices()):
            pass

    script = tmp_path / "chatty"
    script.write_text(f'#!/bin/sh\necho "not as root" >&2\nexec {find_mosquitto()} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr("fleet_server.broker.mosquitto.find_mosquitto", lambda: str(script))
    with caplog.at_level(logging.DEBUG, "fleet_server.broker.mosquitto.output"):
        asyncio.run(start())
    assert "mosquitto: not as root" in caplog.messages
    assert "not as root" not in "".join(capfd.readouterr())


@needs_mosquitto
def test_retained_messages_survive_a_kill_and_mosquitto_is_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr("fleet_server.broker.mosquitto.RESTART_DELAY_S", 0.01)
    with broker_in_thread(settings_of("mosquitto", tmp_path / "broker"), "pi-01") as running:
        with running.connect_server() as server:
            server.publish(topic("pi-01", "desired"), b"wish", retain=True)
        first = running.broker._process.pid
        wait_until(lambda: b"wish" in _stored(tmp_path))
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: running.broker._process.pid != first and _answers(running))
        with running.connect("pi-01") as device:
            device.subscribe(topic("pi-01", "desired"))
            assert device.message().payload == b"wish"


def _stored(folder):
    path = folder / "broker" / "mosquitto.db"
    return path.read_bytes() if path.is_file() else b""


def _answers(running):
    try:
        running.connect("pi-01").disconnect()
    except (OSError, AssertionError):
        return False
    return True


@needs_mosquitto
def test_a_mosquitto_left_by_a_killed_server_is_ended(tmp_path):
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {find_free_port()} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen([find_mosquitto(), "-c", str(config)], stderr=subprocess.DEVNULL) as left:
        wait_until(lambda: os.fsencode(str(config)) in Path(f"/proc/{left.pid}/cmdline").read_bytes())
        asyncio.run(end_leftover(tmp_path / "other.conf"))
        assert left.poll() is None
        asyncio.run(end_leftover(config))
        assert left.wait(5) in {0, -signal.SIGTERM}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://broker", ("broker", 1883, "server", "", False)),
        ("mqtts://eye%40let:se%2Fcret@10.0.0.5:9999", ("10.0.0.5", 9999, "eye@let", "se/cret", True)),
        ("mqtt://[::1]:1884", ("::1", 1884, "server", "", False)),
    ],
)
def test_a_brokers_url_is_read(url, expected):
    address = parse_address(url)
    assert (address.host, address.port, address.username, address.password, address.tls) == expected


@pytest.mark.parametrize("url", ["embeded", "http://broker", "mqtt://", "mqtt://me:secret@broker:port", "mqtt://a:99999"])
def test_what_is_no_brokers_url_is_refused_without_showing_a_password(url):
    with pytest.raises(BrokerError) as caught:
        parse_address(url)
    assert "secret" not in str(caught.value)


def test_an_external_broker_gets_its_accounts_as_files(tmp_path):
    with broker_in_thread(settings_of("mqtt://server:word@127.0.0.1:1", tmp_path), "pi-01") as running:
        assert running.broker.address.url == "mqtt://127.0.0.1:1"
        assert (tmp_path / "passwords").read_text().startswith("pi-01:$7$")
        assert "pattern read eyelet/v1/demo/%u/desired" in (tmp_path / "access").read_text()
        running.devices.verifiers["pi-02"] = hash_password(PASSWORD)
        running.call(running.broker.admit("pi-02"))
        assert "pi-02:" in (tmp_path / "passwords").read_text()
    with pytest.raises(BrokerError, match="named like the server"), broker_in_thread(settings_of("mqtt://pi-01@h", tmp_path), "pi-01"):
        pass
