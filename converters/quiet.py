"""Silence for chatty libraries: whatever they print on either stream, from Python or from C++, is caught."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

CAUGHT_MAX_BYTES = 64 * 1024


class Caught:
    """What was printed during a quiet block; filled when the block ends."""

    text: str = ""


@contextlib.contextmanager
def quiet() -> Iterator[Caught]:
    """Send descriptors 1 and 2 to a temporary file for the length of the block and ignore warnings.

    The descriptors belong to the process: use it only where one thread works, as in a job's process.
    """
    caught = Caught()
    with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _redirected(sink.fileno()):
                yield caught
        finally:
            sink.seek(0)
            caught.text = sink.read(CAUGHT_MAX_BYTES).decode(errors="replace")


@contextlib.contextmanager
def _redirected(descriptor: int) -> Iterator[None]:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    saved = [os.dup(1), os.dup(2)]
    try:
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        with os.fdopen(os.dup(descriptor), "w") as text, contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            yield
    finally:
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for old in saved:
            os.close(old)
