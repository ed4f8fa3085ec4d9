"""What supervisor and worker say to each other: one JSON object per line over the worker's stdin and stdout."""

from typing import TypeVar

import msgspec

from contract.application import Application
from contract.codec import encode, shorten
from contract.errors import FormatError, SizeError
from contract.messages import Drift
from contract.pairs import Disagreement
from contract.sketches import Count, Histogram
from contract.states import FailureReason

LINE_MAX_BYTES = 1 << 20
T = TypeVar("T")


class Message(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag=lambda name: name.lower()):
    """Root of all lines."""


class Access(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who may ask over TCP: the SHA-256 of the token, and the files of TLS. Empty: anyone, on loopback only."""

    token_sha256: str = ""
    tls_cert: str = ""
    tls_key: str = ""


class Served(msgspec.Struct, frozen=True):
    """The version in whose shadow a candidate runs."""

    version: int
    variant: str


class WorkerRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line: everything a worker needs.

    `package_folder` holds the installed version `digest`; the worker checks it once more.
    `sockets` are inherited descriptors of listening sockets, `frames` that of the doorbell of a capture
    process (-1: the worker opens its application's source itself). Relative paths in the application are
    taken from `data_folder`. `window_s` is the length of a window, `drain_s` how long requests
    under way may take after `drain`, `deadline_s` how long an HTTP request may wait for its answer. `variant` may
    name an accelerator (`onnx-float32@cuda`), whose built engines lie in `engines_folder`.

    A shadow worker gets the same line: its one socket is connected to the worker that serves, the
    application is that worker's (for its capture policy), and every `window_s` it says what it counted.
    """

    package_folder: str
    digest: str
    variant: str
    slot: str = "main"
    threads: int = 1
    engines_folder: str = ""
    application: Application | None = None
    sockets: tuple[int, ...] = ()
    frames: int = -1
    data_folder: str = "."
    window_s: float = 60.0
    drain_s: float = 2.0
    max_body_bytes: int = 64 << 20
    queue_length: int = 32
    deadline_s: float = 30.0
    access: Access = Access()
    in_shadow_of: Served | None = None
    load_unload: bool = False  # whether HTTP may ask for it
    unloaded: bool = False  # begin without the model, which was unloaded over HTTP
    handed: bool = False  # the sockets, and after them the doorbell, come over the worker's door


# to the worker


class BeginPairing(Message, frozen=True):
    """Hand a share of the samples and answers to the candidate, over the socket that is handed over with this message."""

    share: float


class EndPairing(Message, frozen=True):
    """Hand no more."""


class Ping(Message, frozen=True):
    """Asks for a `Pong`, which comes only after the work under way is done."""

    id: int


class Flush(Message, frozen=True):
    """Asks for the window so far at once."""


class Probe(Message, frozen=True):
    """Asks for one golden sample through the engine, answered by `Probed`."""

    id: int


class Drain(Message, frozen=True):
    """Accept no more, finish what is under way, send the last window and end."""


class Stop(Message, frozen=True):
    """End now."""


class RepositoryAnswered(Message, frozen=True):
    """What became of a `RepositoryAsked`: an HTTP code and words."""

    id: int
    state: int
    text: str = ""


# from the worker


class Ready(Message, frozen=True):
    """The worker serves, `startup_s` after its imports. `latency_us` is the least of its warm-up."""

    model: str
    version: int
    digest: str
    variant: str
    pid: int
    startup_s: float
    latency_us: float


class Pong(Message, frozen=True):
    """Answer to `Ping`; `completed` counts inferences since the start."""

    id: int
    completed: int


class Probed(Message, frozen=True):
    """Answer to `Probe`."""

    id: int
    passed: bool
    max_difference: float
    latency_us: float


class WindowStats(Message, frozen=True):
    """Aggregates of one window; the supervisor adds who and where and sends it on as `contract.messages.Window`."""

    index: int
    started_at: str
    duration_s: float
    count: Count
    latency_us: Histogram
    confidence: Histogram
    class_counts: dict[str, Count]
    errors: Count = 0
    dropped: Count = 0
    deadline_misses: Count = 0
    drift: Drift | None = None


class RuleFired(Message, frozen=True):
    """A rule of the application fired."""

    at: str
    text: str
    data: dict[str, str | int | float]


class SourceEnded(Message, frozen=True):
    """The application's source came to its end or failed; serving goes on."""

    detail: str
    failed: bool = False


class SourceSaid(Message, frozen=True):
    """A live source lost its device or has it again; it goes on by itself."""

    text: str


class SinkState(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a sink of an application does; `reason` is empty while it works.

    `since` is UTC, `advice` says what to do. Since the application began `offered` records were meant for it, of which
    `lost` are lost; at `refused` of these the owner's function failed. `waiting` may still be sent.
    """

    name: str
    reason: str = ""
    since: str = ""
    offered: Count = 0
    lost: Count = 0
    refused: Count = 0
    waiting: Count = 0
    advice: str = ""


class SinkSaid(Message, frozen=True):
    """A sink is broken, in another way or with other numbers than before, or works again; `number` is its place in the document."""

    pid: int
    number: int
    state: SinkState


class Paired(Message, frozen=True):
    """What a shadow worker counted since its start; see `contract.pairs.PairedResult`."""

    pairs: int
    disagreements: int
    disagreed: tuple[Disagreement, ...]
    errors: int
    dropped: int
    current_latency_us: Histogram
    candidate_latency_us: Histogram
    score_difference: Histogram
    last_error: str = ""


class RepositoryAsked(Message, frozen=True):
    """An HTTP client asks to load a version (0 and "": the one that the slot should serve) or to unload the model."""

    id: int
    load: bool
    model: str
    version: int = 0
    digest: str = ""


class Drained(Message, frozen=True):
    """The last line after `Drain`."""


class Failed(Message, frozen=True):
    """The worker can not do its work and ends."""

    reason: FailureReason
    detail: str


ToWorker = Ping | Flush | Probe | Drain | Stop | BeginPairing | EndPairing | RepositoryAnswered
FromWorker = (
    Ready | Pong | Probed | WindowStats | RuleFired | SourceEnded | SourceSaid | SinkSaid | Paired | RepositoryAsked | Drained | Failed
)


def encode_line(message: msgspec.Struct) -> bytes:
    """One line with its end."""
    return encode(message) + b"\n"


_REQUEST = msgspec.json.Decoder(WorkerRequest)
_TO_WORKER: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)
_FROM_WORKER: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)


def decode_request(line: bytes) -> WorkerRequest:
    """The first line; raises as `decode_from_worker`."""
    return _decode(line, _REQUEST)


def decode_to_worker(line: bytes) -> ToWorker:
    """A line from the supervisor; raises as `decode_from_worker`."""
    return _decode(line, _TO_WORKER)


def decode_from_worker(line: bytes) -> FromWorker:
    """A line from the worker.

    Raises:
        SizeError, FormatError: too long, or not a known message.
    """
    return _decode(line, _FROM_WORKER)


def _decode(line: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    if len(line) > LINE_MAX_BYTES:
        raise SizeError(f"a line of {len(line)} bytes between supervisor and worker; at most {LINE_MAX_BYTES} are accepted")
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"a line between supervisor and worker is not valid: {shorten(error)}") from error
