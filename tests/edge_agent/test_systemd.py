"""The datagrams that systemd waits for."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.systemd import notify, watchdog_interval_s


def test_ready_and_watchdog_reach_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(1)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert notify("READY=1")
        assert listening.recv(100) == b"READY=1"


def test_without_systemd_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    assert not notify("READY=1")


def test_a_listener_that_does_not_listen_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        said = 0
        while notify("WATCHDOG=1"):
            said += 1
            assert said < 100_000, "the queue of a socket has an end"
        assert not notify("WATCHDOG=1")


@pytest.mark.parametrize(("text", "interval"), [("30000000", 15.0), ("", None), ("0", None), ("soon", None)])
def test_the_watchdog_is_fed_twice_as_often_as_needed(text: str, interval: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", text)
    assert watchdog_interval_s() == interval


STORY = """
import logging, sys
from edge_agent.commands.options import log_to_stderr
log_to_stderr()
logging.getLogger("x").info("it began")
logging.getLogger("x").warning("not so %s", "well")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("x").exception("it failed")
"""


@pytest.mark.parametrize("journal", [True, False])
def test_the_journal_gets_priorities_in_place_of_times(journal: bool, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as log:
        status = path.stat()
        environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino if journal else 0}"}
        subprocess.run([sys.executable, "-c", STORY], stderr=log, env=environment, check=True)
    lines = path.read_text().splitlines()
    if journal:
        assert lines[:3] == ["<6>it began", "<4>not so well", "<3>it failed"]
        assert all(line.startswith("<3>") for line in lines[2:])
        assert lines[-1] == "<3>ZeroDivisionError: division by zero"
    else:
        assert lines[0].endswith("Z INFO it began")
        assert lines[-1] == "ZeroDivisionError: division by zero"
