"""Switches a pin of the board for a while with each record that is meant: a lamp, a relay.

By `gpiod` (the package, version 2) on `/dev/gpiochip…` where both are present, else by the kernel's
older `/sys/class/gpio`. A board with neither is refused.
"""

import contextlib
import threading
import time
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec

from edge_agent.sinks.sink import Record, SinkError, SinkHealth
from edge_agent.sources.source import Options

SYSFS = Path("/sys/class/gpio")
EXPORT_PATIENCE_S = 1.0
ADVICE = "See who else has the pin, and whether the agent is in the group gpio; it is tried again with every record"


class GpioOptions(Options, frozen=True):
    """`pin` is the line's number on `chip` (by sysfs: the kernel's own).

    It is on for `hold_s` seconds after each accepted answer with `label` (any where empty).
    """

    pin: Annotated[int, msgspec.Meta(ge=0, le=100_000)]
    label: str = ""
    hold_s: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 1.0
    active_low: bool = False
    chip: Annotated[str, msgspec.Meta(pattern=r"^gpiochip[0-9]{1,4}$")] = "gpiochip0"


class Pin(Protocol):
    """An output that belongs to this process."""

    def switch(self, *, on: bool) -> None:
        """Set it; raises `OSError`."""

    def close(self) -> None:
        """Leave it off and let go."""


class SysfsPin:
    """A pin by `/sys/class/gpio`."""

    def __init__(self, root: Path, number: int, *, active_low: bool) -> None:
        """Raises SinkError where the kernel does not give it."""
        self._folder = root / f"gpio{number}"
        self._root, self._number, self._active_low = root, number, active_low
        self._exported = not self._folder.exists()
        try:
            if self._exported:
                (root / "export").write_text(str(number), "ascii")
                self._await_folder()
            (self._folder / "direction").write_text(self._level(on=False, words=("low", "high")), "ascii")
        except OSError as error:
            raise SinkError(
                f"pin {number} can not be taken: {error}; is it another program's, or is the agent not in the group gpio?"
            ) from error

    def _await_folder(self) -> None:
        """The kernel makes the files at once, udev gives them to the group a moment later."""
        deadline = time.monotonic() + EXPORT_PATIENCE_S
        while not (self._folder / "direction").exists() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _level(self, *, on: bool, words: tuple[str, str] = ("0", "1")) -> str:
        return words[on != self._active_low]

    def switch(self, *, on: bool) -> None:
        """Set it."""
        (self._folder / "value").write_text(self._level(on=on), "ascii")

    def close(self) -> None:
        """Leave it off and give it back."""
        with contextlib.suppress(OSError):
            self.switch(on=False)
            if self._exported:
                (self._root / "unexport").write_text(str(self._number), "ascii")


class ChipPin:
    """A line of a GPIO chip by the package gpiod."""

    def __init__(self, gpiod: Any, chip: Path, number: int, *, active_low: bool) -> None:  # noqa: ANN401  (an optional package)
        """Raises SinkError where the chip does not give it."""
        self._gpiod, self._number = gpiod, number
        line = gpiod.line
        settings = gpiod.LineSettings(direction=line.Direction.OUTPUT, active_low=active_low, output_value=line.Value.INACTIVE)
        try:
            self._request = gpiod.request_lines(str(chip), consumer="eyelet-agent", config={number: settings})
        except (OSError, ValueError) as error:
            raise SinkError(f"line {number} of {chip} can not be taken: {error}") from error

    def switch(self, *, on: bool) -> None:
        """Set it."""
        value = self._gpiod.line.Value
        self._request.set_value(self._number, value.ACTIVE if on else value.INACTIVE)

    def close(self) -> None:
        """Leave it off and give it back."""
        with contextlib.suppress(OSError):
            self.switch(on=False)
        self._request.release()


class GpioSink:
    """See the module. A thread switches off when the time is over; `write` itself only switches on."""

    def __init__(self, options: GpioOptions, pin: Pin) -> None:
        """Takes the pin over."""
        self._options = options
        self._pin = pin
        self.health = SinkHealth(f"gpio pin {options.pin}")
        self._change = threading.Condition()
        self._off_at: float | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"sink-gpio-{options.pin}", daemon=True)
        self._thread.start()

    def write(self, record: Record) -> None:
        """Switch on where the record is meant; a further one prolongs it.

        Raises:
            SinkError: the pin can not be set.
        """
        if not record.accepted or (self._options.label and record.label != self._options.label):
            return
        with self._change:
            try:
                if self._off_at is None:
                    self._pin.switch(on=True)
                    self.health.works()
            except OSError as error:
                raise SinkError(f"pin {self._options.pin} can not be set: {error}") from error
            self._off_at = time.monotonic() + self._options.hold_s
            self._change.notify()

    def close(self) -> None:
        """Switch off and give the pin back."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join(1.0)
        self._pin.close()

    def _run(self) -> None:
        with self._change:
            while not self._closed:
                rest = None if self._off_at is None else self._off_at - time.monotonic()
                if rest is not None and rest <= 0:
                    with contextlib.suppress(OSError):
                        self._pin.switch(on=False)
                    self._off_at = rest = None
                self._change.wait(rest)


def _open_pin(options: GpioOptions) -> Pin:
    chip = Path("/dev") / options.chip
    if chip.exists():
        try:
            import gpiod
        except ImportError:
            pass
        else:
            return ChipPin(gpiod, chip, options.pin, active_low=options.active_low)
    if SYSFS.is_dir():
        return SysfsPin(SYSFS, options.pin, active_low=options.active_low)
    missing = (
        f"{chip} is there, but the package gpiod is not: pip install gpiod" if chip.exists() else f"there is neither {chip} nor {SYSFS}"
    )
    raise SinkError(f"this device gives no pins: {missing}")


def open_sink(options: GpioOptions, _data_folder: Path) -> GpioSink:
    """Take the pin, switched off. Raises `SinkError`."""
    return GpioSink(options, _open_pin(options))
