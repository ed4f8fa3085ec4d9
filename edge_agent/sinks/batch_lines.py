"""The output of an offline batch: JSON lines that appear all at once at the end, and can be gone on with after a kill.

Until the end they lie in `OUTPUT.partial`, with `OUTPUT.partial.json` saying of which batch. Going on
means: keep every whole line, cut the rest off, answer what comes after.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from contract.codec import encode
from contract.errors import SizeError
from contract.files import read_bounded, sync_folder, write_atomic
from edge_agent.sinks.sink import SinkError

HEAD_MAX_BYTES = 64 * 1024
LINE_MAX_BYTES = 16 << 20
FLUSH_EVERY = 64


class BatchHead(msgspec.Struct, frozen=True):
    """Which batch a partial output belongs to: the package's digest, the variant, and the fingerprint of the inputs."""

    schema_version: int
    digest: str
    variant: str
    inputs: str


class Found(NamedTuple):
    """What an output holds: whole lines, how many of them tell an error, their bytes, the last one's input, whose answers they are."""

    lines: int = 0
    failed: int = 0
    size_bytes: int = 0
    last_input: str = ""
    answered_by: tuple[str, str, str] | None = None  # model, version, variant


class _Line(msgspec.Struct):
    input: str
    error: str | None = None
    model_name: str = ""
    model_version: str = ""
    variant: str = ""

    @property
    def answered_by(self) -> tuple[str, str, str] | None:
        return (self.model_name, self.model_version, self.variant) if self.error is None else None


class BatchLines:
    """An output under way; `found` is what it began with."""

    def __init__(self, file: BinaryIO, found: Found) -> None:
        self.found = found
        self._file = file
        self._written = 0

    def write(self, line: bytes) -> None:
        """Append one line, given without its end; raises OSError."""
        self._file.write(line + b"\n")
        self._written += 1
        if self._written % FLUSH_EVERY == 0:
            self._file.flush()


def is_complete(output: Path) -> bool:
    """Whether a batch of this output came to its end, and none was begun since."""
    return output.exists() and not partial_of(output).exists()


def partial_of(output: Path) -> Path:
    """Where the lines lie until the end."""
    return output.with_name(f"{output.name}.partial")


def find_lines(path: Path) -> Found:
    """Count the whole lines of an output; the first that is none ends it (a power cut leaves zeros)."""
    found = Found()
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        while (line := file.readline(LINE_MAX_BYTES)).endswith(b"\n"):
            try:
                parsed = msgspec.json.decode(line, type=_Line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                break
            size_bytes, failed = found.size_bytes + len(line), found.failed + (parsed.error is not None)
            found = Found(found.lines + 1, failed, size_bytes, parsed.input, parsed.answered_by or found.answered_by)
    return found


@contextlib.contextmanager
def open_batch_lines(output: Path, head: BatchHead, *, resume: bool) -> Iterator[BatchLines]:
    """Begin an output, or go on with one; it takes its name where the block ends well, else it stays partial.

    Raises:
        SinkError: what is to be gone on with belongs to another batch.
        OSError: the disk is full, the folder is absent.
    """
    partial = partial_of(output)
    head_path = partial.with_name(f"{partial.name}.json")
    found = Found()
    if resume and partial.exists():
        _check_head(head_path, head, partial)
        found = find_lines(partial)
    else:
        write_atomic(head_path, encode(head) + b"\n")
    with partial.open("r+b" if found.lines else "wb") as file:
        file.truncate(found.size_bytes)
        file.seek(found.size_bytes)
        yield BatchLines(file, found)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(output)
    sync_folder(output.parent)
    head_path.unlink(missing_ok=True)


def _check_head(path: Path, head: BatchHead, partial: Path) -> None:
    advice = "leave --resume out to begin anew"
    try:
        begun = msgspec.json.decode(read_bounded(path, HEAD_MAX_BYTES), type=BatchHead)
    except (OSError, SizeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SinkError(f"{path.name} does not say which batch {partial.name} belongs to ({error}); {advice}") from error
    names = (("digest", "another package"), ("variant", "another variant"), ("inputs", "other inputs, or inputs that were changed since"))
    for name, words in names:
        if getattr(begun, name) != getattr(head, name):
            raise SinkError(f"{partial.name} was begun with {words}; {advice}")
