"""Commands from the server to a device: what may be asked, how it is signed, and what comes back.

A command travels as a DSSE envelope by the director's key, like `desired`. It is sent again on every
hello until there is a result, and done once: `command_id` says that it is the same.

| method and path | who | body → answer |
|---|---|---|
| POST /v1/commands | operator | CommandRequest → list[CommandView] |
| GET /v1/commands?device=&command_state=&command_kind=&limit= | operator | → list[CommandView] |
| GET /v1/commands/<id>; POST /v1/commands/<id>/cancel | operator | → CommandView |
"""

from enum import Enum
from typing import Annotated, Any, ClassVar

import msgspec

from contract.errors import FormatError
from contract.manifest import Id, Sha256
from contract.messages import DEFAULT_SLOT
from contract.rest import Body, Request

COMMAND_PAYLOAD_TYPE = "application/vnd.eyelet.command+json"
DAY_S = 86400.0
EXPIRES_IN_MAX_S = 30 * DAY_S
DEVICES_MAX = 10_000


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """A signed request, idempotent by `command_id`; `options` are those of its kind, see `KINDS`."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    command_id: str
    device: Id
    kind: str
    expires_at: str
    options: dict[str, Any] = {}


class CommandResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """Answer to a command; goes through the device's outbox, so it comes at least once. `(stream, sequence)` as for an event."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    command_id: str
    ok: bool
    text: str = ""
    data: dict[str, Any] = {}
    stream: str = ""
    sequence: int = 0


class Options(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Root of the options of all kinds: a device refuses what it does not know, it never guesses."""


class Report(Options, frozen=True):
    """Send the whole reported state again."""


class Benchmark(Options, frozen=True):
    """Measure every variant of a version on this device, in a child process; what serves goes on serving.

    `digest` names an installed version; without it the one that serves in `slot` is measured.
    """

    slot: Id = DEFAULT_SLOT
    digest: Sha256 | None = None
    most_threads: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1


class CaptureSamples(Options, frozen=True):
    """Keep a share of the samples for a while, on the device, whatever the application's own capture policy says.

    The device's own policy stays above it: whether samples are kept at all, how many an hour, how many bytes, redaction.
    """

    slot: Id = DEFAULT_SLOT
    for_s: Annotated[float, msgspec.Meta(gt=0, le=7 * DAY_S)] = 600.0
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0


class UploadSamples(Options, frozen=True):
    """Send kept field samples, the oldest first, at most so many and so many bytes; without `slot` those of all slots."""

    slot: Id | None = None
    most: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    most_bytes: Annotated[int, msgspec.Meta(ge=1, le=4 << 30)] = 256 << 20


class RestartWorker(Options, frozen=True):
    """Put a new worker in the place of the one that serves, without a gap."""

    slot: Id = DEFAULT_SLOT


KINDS: dict[str, type[Options]] = {
    "report": Report,
    "benchmark": Benchmark,
    "capture_samples": CaptureSamples,
    "upload_samples": UploadSamples,
    "restart_worker": RestartWorker,
}


def parse_options(kind: str, options: dict[str, Any]) -> Options:
    """The options of a command as its kind's own type.

    Raises:
        FormatError: the kind or one of the options is not known, or a value is out of its bounds.
    """
    if kind not in KINDS:
        raise FormatError(f"there is no command {kind[:60]!r}; known are {', '.join(KINDS)}")
    try:
        return msgspec.convert(options, KINDS[kind])
    except msgspec.ValidationError as error:
        raise FormatError(f"the command {kind} can not be read: {error}") from error


class CommandState(str, Enum):
    """Where a command stands on the server."""

    WAITING = "waiting"  # for the device to connect
    SENT = "sent"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


OPEN_COMMAND_STATES = frozenset({CommandState.WAITING, CommandState.SENT})


class CommandRequest(Request, frozen=True):
    """One command for each of `devices`, or for `all_devices` that are not revoked."""

    kind: str
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    devices: Annotated[tuple[Id, ...], msgspec.Meta(max_length=DEVICES_MAX)] = ()
    all_devices: bool = False
    expires_in_s: Annotated[float, msgspec.Meta(ge=1, le=EXPIRES_IN_MAX_S)] = DAY_S


class CommandView(Body, frozen=True):
    """A command as the operator sees it; `text` and `data` are the device's own words."""

    command_id: str
    device: Id
    kind: str
    options: dict[str, Any]
    state: CommandState
    created_at: str
    expires_at: str
    sent_at: str = ""
    ended_at: str = ""
    text: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)
