"""Hands each record to a Python function that the device's own program registered.

A document can only name a registered function; it can not bring code.
"""

from collections.abc import Callable
from pathlib import Path

from edge_agent.sinks.sink import Record, SinkError
from edge_agent.sources.source import Options

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

    def write(self, record: Record) -> None:
        """Call the function.

        Raises:
            SinkError: it raised.
        """
        try:
            _REGISTERED[self._name](record)
        except Exception as error:  # someone else's code
            raise SinkError(f"the callback {self._name} failed: {error}") from error

    def close(self) -> None:
        """Nothing to let go."""


def open_sink(options: CallbackOptions, _data_folder: Path) -> CallbackSink:
    """The registered function as a sink; raises `SinkError`."""
    return CallbackSink(options.name)
