import contextlib
import os
import pty
import socket
import termios
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.application import Source
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources.readings import READING_MAX_BYTES
from edge_agent.sources.serial_lines import LineSplitter
from edge_agent.sources.source import Item, SourceDropped, SourceError
from edge_agent.sources.table import open_source
from tests.edge_agent.sources.live_sources import IMAGES, ROWS, SERIES, samples, take_until


class Port(NamedTuple):
    """A pseudo-terminal: what a sensor writes at `ours` arrives at `path`."""

    ours: int
    theirs: int
    path: str

    def say(self, text: str) -> None:
        os.write(self.ours, text.encode())


@pytest.fixture
def port() -> Iterator[Port]:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    try:
        yield Port(ours, theirs, os.ttyname(theirs))
    finally:
        os.close(ours)
        os.close(theirs)


def count(items: list[Item], wanted: int) -> bool:
    return len(samples(items)) >= wanted


def test_lines_of_a_port_become_rows_and_the_first_piece_of_a_line_is_left_out(port: Port, tmp_path: Path) -> None:
    port.say("3.5,Bonn\r\n4.5,Köln\r\n")  # somebody may have begun before us: the first line may be the rest of one
    port.say("old,Trier\n1,2,3\n\n5,Aachen\n")
    items = take_until(Source("serial", {"path": port.path}), ROWS, tmp_path, lambda found: count(found, 2))
    first, second = samples(items)
    assert (float(first.sample["age"][0]), first.sample["city"][0]) == (4.5, "Köln")
    assert (float(second.sample["age"][0]), second.sample["city"][0]) == (5.0, "Aachen")
    reasons = [item.reason for item in items if isinstance(item, SourceDropped)]
    assert "'old' is no number" in reasons[0]
    assert "the line has 3 values, expected 2" in reasons[1]
    assert termios.tcgetattr(port.theirs)[4] == termios.B115200


def test_json_lines_and_windows_of_the_last_readings(port: Port, tmp_path: Path) -> None:
    port.say("\n" + "".join(f'{{"t": {n}, "u": {n * 10}, "more": "x"}}\n' for n in range(4)))
    port.say('{"t": 1}\n' + "".join(f'{{"t": {n}, "u": 0}}\n' for n in range(10, 13)))  # one is broken: the window begins anew
    options = {"path": port.path, "format": "json", "columns": ["t", "u"]}
    items = take_until(Source("serial", options), SERIES, tmp_path, lambda found: count(found, 3))
    windows = [item.sample["readings"] for item in samples(items)]
    assert windows[0].dtype == np.float32
    np.testing.assert_array_equal(windows[0], [[0, 0], [1, 10], [2, 20]])
    np.testing.assert_array_equal(windows[1], [[1, 10], [2, 20], [3, 30]])
    np.testing.assert_array_equal(windows[2][:, 0], [10, 11, 12])


def test_a_plain_file_is_read_once_and_every_line_waits(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("".join(f"{n};{-n}\n" for n in range(200)) + "200;-200")
    items = take_until(Source("serial", {"path": "log.txt", "separator": ";", "hop": 3}), SERIES, tmp_path)
    windows = [item.sample["readings"] for item in samples(items)]
    assert [int(window[0, 0]) for window in windows] == list(range(0, 199, 3))
    assert not [item for item in items if not hasattr(item, "sample")]


def test_a_pipe_whose_writer_comes_and_goes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    def write_twice() -> None:
        for number in range(2):
            deadline = time.monotonic() + 30
            while True:
                try:
                    pipe = os.open(tmp_path / "pipe", os.O_WRONLY | os.O_NONBLOCK)
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
            os.write(pipe, f"{number},Bonn\n".encode())
            os.close(pipe)

    items = take_until(Source("serial", {"path": "pipe"}), ROWS, tmp_path, lambda found: count(found, 2), meanwhile=write_twice)
    assert [float(item.sample["age"][0]) for item in samples(items)] == [0, 1]


def test_a_port_that_is_absent_is_waited_for(tmp_path: Path) -> None:
    def make() -> None:
        time.sleep(0.05)
        os.mkfifo(tmp_path / "late")
        with (tmp_path / "late").open("w") as pipe:
            pipe.write("1,Bonn\n")

    items = take_until(Source("serial", {"path": "late"}), ROWS, tmp_path, lambda found: count(found, 1), meanwhile=make)
    assert len(samples(items)) == 1


@pytest.mark.parametrize(
    ("options", "spec", "words"),
    [
        ({"path": "/dev/x"}, IMAGES, "one value per input"),
        ({"path": "/dev/x", "columns": ["age"]}, ROWS, "name no column city"),
        ({"path": "/dev/x", "columns": ["t"]}, SERIES, "takes 2 values per reading, the options name 1"),
        ({"path": "/dev/x", "separator": "--"}, ROWS, "not valid"),
        ({"path": "identity/device.key"}, ROWS, "belongs to the agent itself"),
        ({"path": "x/../identity"}, ROWS, "belongs to the agent itself"),
    ],
)
def test_what_can_not_be_opened_says_why(tmp_path: Path, options: dict, spec: ModelSpec, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_source(Source("serial", options), spec, tmp_path)


def test_an_address_needs_pyserial_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "serial", None)
    with pytest.raises(SourceError, match="needs the package pyserial, which is not installed"):
        open_source(Source("serial", {"path": "socket://127.0.0.1:1"}), ROWS, tmp_path)


def test_an_address_is_read_through_pyserial(tmp_path: Path) -> None:
    pytest.importorskip("serial")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def speak() -> None:
            with listening.accept()[0] as sensor, contextlib.suppress(OSError):
                sensor.settimeout(0.02)
                while True:  # pyserial throws away what came before it was ready
                    sensor.sendall(b"1,Bonn\n2,Trier\n")
                    with contextlib.suppress(TimeoutError, socket.timeout):
                        if not sensor.recv(1):
                            return

        options = {"path": f"socket://127.0.0.1:{listening.getsockname()[1]}"}
        items = take_until(Source("serial", options), ROWS, tmp_path, lambda found: count(found, 2), meanwhile=speak)
    assert {item.sample["city"][0] for item in samples(items)} == {"Bonn", "Trier"}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 9), st.booleans())
def test_lines_are_the_same_however_the_bytes_come(parts: list[bytes], size: int, skip_first: bool) -> None:
    data = b"\n".join(parts)
    splitter = LineSplitter(skip_first=skip_first)
    found = [line for at in range(0, len(data), size) for line in splitter.split(data[at : at + size])]
    expected = data.split(b"\n")[:-1]
    assert found == (expected[1:] if skip_first else expected)


def test_a_line_without_end_is_cut_off_and_said_once() -> None:
    splitter = LineSplitter(skip_first=False)
    found = splitter.split(b"x" * (READING_MAX_BYTES + 1)) + splitter.split(b"x" * 10_000) + splitter.split(b"x\nnext\n")
    assert found == [None, b"next"]
