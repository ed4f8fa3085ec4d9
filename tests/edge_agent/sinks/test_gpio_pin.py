from pathlib import Path

import msgspec
import pytest

from contract.application import Sink
from edge_agent.sinks import gpio_pin
from edge_agent.sinks.sink import SinkError, offer
from edge_agent.sinks.table import open_sink
from tests.edge_agent.sinks.test_sinks import RECORD
from tests.simulators.waiting import wait_until


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree like the kernel's, in which pin 17 was exported already."""
    folder = tmp_path / "gpio"
    (folder / "gpio17").mkdir(parents=True)
    for name in ("export", "unexport", "gpio17/direction", "gpio17/value"):
        (folder / name).write_text("")
    monkeypatch.setattr(gpio_pin, "SYSFS", folder)
    return folder


def test_a_label_switches_the_pin_for_a_while(root: Path, tmp_path: Path) -> None:
    sink = open_sink(Sink("gpio", {"pin": 17, "label": "red", "hold_s": 0.05, "chip": "gpiochip9999"}), tmp_path)
    value = root / "gpio17" / "value"
    assert (root / "gpio17" / "direction").read_text() == "low"
    sink.write(msgspec.structs.replace(RECORD, label="green"))
    sink.write(msgspec.structs.replace(RECORD, accepted=False))
    assert value.read_text() == ""
    sink.write(RECORD)
    assert value.read_text() == "1"
    wait_until(lambda: value.read_text() == "0")
    sink.write(RECORD)
    assert value.read_text() == "1"
    sink.close()
    assert value.read_text() == "0"
    assert (root / "unexport").read_text() == ""  # it was another's export


def test_a_relay_that_is_on_at_low(root: Path, tmp_path: Path) -> None:
    sink = open_sink(Sink("gpio", {"pin": 17, "active_low": True, "hold_s": 60, "chip": "gpiochip9999"}), tmp_path)
    assert (root / "gpio17" / "direction").read_text() == "high"
    sink.write(RECORD)
    assert (root / "gpio17" / "value").read_text() == "0"
    sink.close()
    assert (root / "gpio17" / "value").read_text() == "1"


def test_a_pin_that_can_not_be_had_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpio_pin, "EXPORT_PATIENCE_S", 0.02)
    with pytest.raises(SinkError, match="pin 4 can not be taken"):
        open_sink(Sink("gpio", {"pin": 4, "chip": "gpiochip9999"}), tmp_path)
    assert (root / "export").read_text() == "4"
    monkeypatch.setattr(gpio_pin, "SYSFS", tmp_path / "absent")
    with pytest.raises(SinkError, match="this device gives no pins: there is neither /dev/gpiochip9999 nor"):
        open_sink(Sink("gpio", {"pin": 4, "chip": "gpiochip9999"}), tmp_path)


def test_a_failing_pin_is_said(root: Path, tmp_path: Path) -> None:
    sink = open_sink(Sink("gpio", {"pin": 17, "chip": "gpiochip9999"}), tmp_path)
    (root / "gpio17" / "value").unlink()
    (root / "gpio17" / "value").mkdir()
    with pytest.raises(SinkError, match="pin 17 can not be set"):
        sink.write(RECORD)
    offer(sink, RECORD)
    assert sink.health.is_broken
    (root / "gpio17" / "value").rmdir()
    offer(sink, RECORD)
    assert not sink.health.is_broken
    sink.close()
