"""Hands each record to a Python function that the device's own program registered.

A document can only name a registered function; it can not bring code.
"""

from collections.abc import Callable
from pathlib import Path

from edge_agent.sinks.sink import Record, RecordRefusedError, SinkError, SinkHealth
from edge_agent.sources.source import Options

ADVICE = "Correct the function that `callbacks` in config.json names, then restart the agent"
_REGISTERED: dict[str, Callable[[Record], None]] = {}


class CallbackOptions(Options, frozen=True):
    """`name` is the one under which the function was registered."""

    name: str


def register_callback(name: str, function: Callable[[Record], None]) -> None:
    """Make `function` known to documents as `name` in this process."""
    _REGISTERED[name] = function


class CallbackSink:
    """See the module."""

    def __init__(self, name: str) -> None:
        if name not in _REGISTERED:
            raise SinkError(f"no callback named {name[:40]!r} is registered here; known are {', '.join(sorted(_REGISTERED)) or 'none'}")
        self._name = name
        self.health = SinkHealth(f"callback {name[:80]}")

    def write(self, record: Record) -> None:
        """Call the function.

        Raises:
            RecordRefusedError: it raised.
        """
        try:
            _REGISTERED[self._name](record)
        except Exception as error:  # someone else's code
            raise RecordRefusedError(f"its function failed: {_words(error)}") from error
        if self.health.is_broken:
            self.health.works()

    def close(self) -> None:
        """Nothing to let go."""


def _words(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001  (its own words are someone else's code, too)
        return type(error).__name__


def open_sink(options: CallbackOptions, _data_folder: Path) -> CallbackSink:
    """The registered function as a sink; raises `SinkError`."""
    return CallbackSink(options.name)
