"""Send kept field samples to the server: only as the answer to an `upload_samples` command, never otherwise.

A sample leaves the device's disk only after the server has said that it is on its own. The server counts
what it has of the answer to a command, so an upload that was cut off goes on where it stood.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from contract.codec import decode
from contract.commands import UploadSamples
from contract.errors import SizeError
from contract.files import read_plain, sha256_of
from contract.samples import SAMPLE_CONTENT_TYPE, SAMPLE_MAX_BYTES, UploadState, join_sample
from edge_agent.capture.store import Kept, count_samples, discard, find_kept, list_samples
from edge_agent.commands_received import Outcome
from edge_agent.http_client import HttpError, ServerHttp

PATIENCE_S = 600.0
PAUSE_FIRST_S, PAUSE_LAST_S = 1.0, 60.0
ANSWER_MAX_BYTES = 64 * 1024
_TRY_AGAIN = frozenset({0, 408, 429, 500, 502, 503, 504})
_OF_THIS_SAMPLE = frozenset({413, 422})
T = TypeVar("T")

log = logging.getLogger(__name__)


class Stopped(Exception):
    """No error: the agent ends, or the command expired."""


class Upload(NamedTuple):
    """What is to be sent: the answer to which command, from where, how much, through what."""

    http: ServerHttp
    command_id: str
    captured: Path  # the folder with one folder of samples per slot
    options: UploadSamples
    stop: threading.Event
    patience_s: float = PATIENCE_S


class _Tally:
    """What became of the samples."""

    def __init__(self) -> None:
        self.arrived: set[str] = set()  # digests: a picture that stands still is sent once
        self.refused = 0
        self.damaged = 0
        self.why = ""  # why no more were sent; empty where all were


def send_samples(upload: Upload) -> Outcome:
    """Send what the command asks for; blocks, so it runs in a thread of its own."""
    tally = _Tally()
    sent, is_whole = None, False
    try:
        sent = _patiently(upload, lambda: _ask(upload))
        for kept in list(_kept_samples(upload)):
            if not sent.left:
                tally.why = "the command asks for no more"
                break
            sent = _send(upload, kept, tally) or sent
        is_whole = True
    except HttpError as error:
        tally.why = str(error)
    except Stopped:
        tally.why = "the upload was told to end"
    return _outcome(upload, sent, tally, ok=is_whole)


def _kept_samples(upload: Upload) -> Iterator[Kept]:
    """The samples of the slots that are asked for, each slot's oldest first."""
    for folder in _folders(upload):
        yield from list_samples(folder)


def _folders(upload: Upload) -> list[Path]:
    slot = upload.options.slot
    return [upload.captured / slot] if slot else sorted(path for path in upload.captured.glob("*") if path.is_dir())


def _send(upload: Upload, kept: Kept, tally: _Tally) -> UploadState | None:
    """Send one sample and delete it here; None where it could not be sent, whoever is at fault."""
    line = kept.line
    try:
        data = read_plain(kept.path, SAMPLE_MAX_BYTES)  # a worker of another user wrote it
    except SizeError:
        tally.refused += 1
        return None
    except OSError:
        return None  # deleted meanwhile to make room for newer ones
    if sha256_of(data) != line.sha256:
        log.warning("The field sample %s is damaged and is deleted", kept.path)
        tally.damaged += 1
        discard(kept.path.parent, kept.number)
        return None
    if line.sha256 in tally.arrived:
        _discard_sent(kept)
        return None
    try:
        state = _patiently(upload, lambda: _put(upload, line.sha256, join_sample(line, data)))
    except HttpError as error:
        if error.status not in _OF_THIS_SAMPLE:
            raise
        log.warning("The server refuses the field sample %s: %s", kept.path, error)
        tally.refused += 1
        return None
    tally.arrived.add(line.sha256)
    _discard_sent(kept)
    return state


def _discard_sent(kept: Kept) -> None:
    """Delete what the server has; a newer sample that took the number meanwhile stays."""
    if find_kept(kept.path.parent, kept.number) == kept:
        discard(kept.path.parent, kept.number)


def _ask(upload: Upload) -> UploadState:
    body, _ = upload.http.get(f"/v1/uploads/{upload.command_id}", ANSWER_MAX_BYTES)
    return decode(body, UploadState, "the server's answer")


def _put(upload: Upload, sha256: str, body: bytes) -> UploadState:
    answer = upload.http.put(f"/v1/uploads/{upload.command_id}/{sha256}", body, SAMPLE_CONTENT_TYPE, ANSWER_MAX_BYTES)
    return decode(answer, UploadState, "the server's answer")


def _patiently(upload: Upload, ask: Callable[[], T]) -> T:
    """Ask again, after growing waits, while the server can not be reached.

    Raises:
        HttpError: it refused, or could not be reached for too long.
        Stopped: the upload was told to end.
    """
    give_up_s, pause_s = time.monotonic() + upload.patience_s, PAUSE_FIRST_S
    while True:
        if upload.stop.is_set():
            raise Stopped
        try:
            return ask()
        except HttpError as error:
            if error.status not in _TRY_AGAIN or time.monotonic() >= give_up_s:
                raise
        upload.stop.wait(pause_s)
        pause_s = min(PAUSE_LAST_S, 2 * pause_s)


def _outcome(upload: Upload, sent: UploadState | None, tally: _Tally, *, ok: bool) -> Outcome:
    left = sum(map(count_samples, _folders(upload)))
    samples, size = (sent.samples, sent.size_bytes) if sent is not None else (0, 0)
    words = [f"{_counted(samples)} ({size / 1e6:.1f} MB) came to the server"]
    if left:
        words.append(f"{_counted(left)} stay on the device{': ' + tally.why if tally.why else ''}")
    elif not ok:
        words.append(tally.why)
    if tally.damaged:
        words.append(f"{_counted(tally.damaged)} were damaged and are deleted")
    if tally.refused:
        words.append(f"{_counted(tally.refused)} were refused")
    data = {"samples": samples, "size_bytes": size, "left": left, "damaged": tally.damaged, "refused": tally.refused}
    return Outcome(ok, "; ".join(words), data)


def _counted(number: int) -> str:
    return "1 sample" if number == 1 else f"{number} samples"
