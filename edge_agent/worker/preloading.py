"""What a worker that is begun early imports while it waits for its request."""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from contract.files import read_bounded

_VARIABLE = "EYELET_EXPECTED"
_POINTER_MAX_BYTES = 64 * 1024
_APPLICATION = "application"


class Expected(NamedTuple):
    """What a worker will most likely be asked for. A wrong guess costs time, nothing else."""

    variant: str
    application: bool = False


class _Pointer(msgspec.Struct):
    """Of `edge_agent.update.records.Installed`, what matters here."""

    variant: str = ""
    application: object = None


def expect_of(pointer: Path) -> Expected | None:
    """What the version needs that a slot's pointer names; None where it names none, or can not be read."""
    with contextlib.suppress(Exception):  # whoever starts the worker finds out and says what is wrong
        found = msgspec.json.decode(read_bounded(pointer, _POINTER_MAX_BYTES), type=_Pointer)
        return Expected(found.variant, found.application is not None)
    return None


def environment_for(expected: Expected) -> dict[str, str]:
    """What tells the worker."""
    return {_VARIABLE: f"{expected.variant},{_APPLICATION if expected.application else ''}"}


def preload() -> None:
    """Import what the environment names; never fails."""
    text = os.environ.pop(_VARIABLE, None)
    if text is None:
        return
    variant, _, application = text.partition(",")
    with contextlib.suppress(Exception):  # opening the model says the same in words
        from edge_agent.engine.runtimes import runtime_version

        runtime_version(variant.partition("-")[0])
    if application:
        with contextlib.suppress(Exception):
            import edge_agent.frames.frame_source
            import edge_agent.worker.application_loop  # noqa: F401
