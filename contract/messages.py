"""The messages that pass over MQTT between server and device, as views of their JSON."""

from typing import Annotated, Any, ClassVar

import msgspec

from contract.maintenance import WindowTexts, check_windows
from contract.manifest import FileEntry, Id, Sha256, VersionNumber
from contract.pairs import PairedResult
from contract.sketches import Histogram
from contract.states import FailureReason, HealthState, Presence, UpdateState

DESIRED_PAYLOAD_TYPE = "application/vnd.eyelet.desired+json"
DEFAULT_SLOT = "main"


class VersionRef(msgspec.Struct, frozen=True):
    """A model version by name, number and manifest digest."""

    model: Id
    version: VersionNumber
    digest: Sha256


class DesiredModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which version a slot should run. `force` lets a quarantined digest be tried again."""

    model: Id
    version: VersionNumber
    manifest: FileEntry
    rollout: str = ""
    arm: str = ""
    force: bool = False

    @property
    def ref(self) -> VersionRef:
        """The version without the rollout that asked for it."""
        return VersionRef(self.model, self.version, self.manifest.sha256)


class DesiredApplication(msgspec.Struct, frozen=True):
    """Which application a slot should run."""

    name: Id
    version: VersionNumber
    document: FileEntry


class DesiredSlot(msgspec.Struct, frozen=True, omit_defaults=True):
    """The wish for one slot."""

    model: DesiredModel | None = None
    application: DesiredApplication | None = None


class UpdatePolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """How careful a device is with a new version.

    Probation lasts `probation_s` and needs `probation_min_inferences`; it fails when clearly more
    than 5 % of the inferences take longer than `latency_factor` times the 95th percentile of the
    version before (and than `latency_floor_ms`), or when more than `error_share` of them fail.

    With `shadow_s` the candidate first runs so long in the shadow of the version that serves, on
    `shadow_share` of its samples. The update fails when the two disagree on more than
    `shadow_max_disagreement` of the pairs (1: only report), or when fewer than `shadow_min_pairs`
    came within three times `shadow_s` (0: none are demanded).

    Only in its windows does a device download or activate a version (`contract.maintenance`); none
    means always. Windows that the device's owner has set in its `config.json` hold instead.
    """

    probation_s: Annotated[float, msgspec.Meta(gt=0, le=30 * 86400)] = 300.0
    probation_min_inferences: Annotated[int, msgspec.Meta(ge=0)] = 20
    latency_factor: Annotated[float, msgspec.Meta(gt=1)] = 2.0
    latency_floor_ms: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    error_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.02
    self_test_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 120.0
    shadow_s: Annotated[float, msgspec.Meta(ge=0, le=30 * 86400)] = 0.0
    shadow_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    shadow_min_pairs: Annotated[int, msgspec.Meta(ge=0)] = 0
    shadow_max_disagreement: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    download_windows: WindowTexts = ()
    activation_windows: WindowTexts = ()

    def __post_init__(self) -> None:
        """Raises ValueError for a window that is none."""
        check_windows((*self.download_windows, *self.activation_windows))

    def without_windows(self) -> "UpdatePolicy":
        """The same, at any time: for going back, which must not wait for a window."""
        return msgspec.structs.replace(self, download_windows=(), activation_windows=())


class Telemetry(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often a device speaks."""

    window_s: Annotated[float, msgspec.Meta(ge=0.5, le=86400)] = 60.0
    health_s: Annotated[float, msgspec.Meta(ge=0.5, le=86400)] = 60.0


class Desired(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole wish for one device; travels as a DSSE envelope signed by the fleet's director key.

    `revision` only rises; `not_after` forbids starting an update later, it never stops what runs.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    fleet: Id
    device: Id
    revision: Annotated[int, msgspec.Meta(ge=1)]
    issued_at: str
    slots: dict[Id, DesiredSlot]
    not_after: str = ""
    policy: UpdatePolicy = UpdatePolicy()
    telemetry: Telemetry = Telemetry()
    agent_min_version: str = ""


class UpdateReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """An update under way, or how the last one ended."""

    state: UpdateState
    target: VersionRef
    revision: int
    attempt: int = 1
    rollout: str = ""
    arm: str = ""
    reason: FailureReason | None = None
    detail: str = ""
    paired: PairedResult | None = None


class MeasuredVariant(msgspec.Struct, frozen=True):
    """What the self-test (or `eyelet-agent tune`, which tries more threads) measured for one variant on this device."""

    variant: str
    latency_p50_ms: float
    latency_p95_ms: float
    max_difference: float
    acceptance_score: float | None
    chosen: bool
    threads: int = 1
    throttled: bool = False  # the device was too hot, so its latencies say little


class ReportedSlot(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one slot runs."""

    current: VersionRef | None = None
    last_known_good: VersionRef | None = None
    variant: str = ""
    update: UpdateReport | None = None
    measured: tuple[MeasuredVariant, ...] = ()
    application: str = ""
    application_version: int = 0


class Reported(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device says of itself, whole, each time something changes."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    device: Id
    boot_id: str
    at: str
    agent_version: str
    hardware_class: str
    desired_revision_seen: int
    slots: dict[str, ReportedSlot]
    quarantine: tuple[str, ...] = ()
    runtimes: dict[str, str] = {}


class Hello(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sent on every connect; the server answers with `desired` and `ack` from its database.

    `first_sequence` is the oldest sequence that the outbox still holds (the next one where it is
    empty); what lies before will never come, so it can not hold up the acknowledgement. 0: unknown.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    boot_id: str
    session: int
    desired_revision: int
    stream: str
    agent_version: str = ""
    first_sequence: int = 0


class UpdateEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One transition of an update."""

    slot: Id
    state: UpdateState
    target: VersionRef
    revision: int
    attempt: int = 1
    previous: UpdateState | None = None
    rollout: str = ""
    arm: str = ""
    reason: FailureReason | None = None
    detail: str = ""
    paired: PairedResult | None = None  # on the way out of `shadowing`


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened, delivered at least once; `(stream, sequence)` makes it once.

    `kind` is `update` (then `update` is set), `agent` (start, stop, crash of a worker) or `rule`
    (an application's rule fired).
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    stream: str
    sequence: Annotated[int, msgspec.Meta(ge=1)]
    boot_id: str
    at: str
    kind: str
    update: UpdateEvent | None = None
    text: str = ""
    data: dict[str, Any] = {}


class Ack(msgspec.Struct, frozen=True):
    """Everything of `stream` up to `committed_upto` is in the server's database."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    stream: str
    committed_upto: int


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a device is; a sensor that is absent is None, never zero."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    boot_id: str
    at: str
    state: HealthState
    reasons: tuple[str, ...]
    cpu_percent: float
    memory_total_bytes: int
    memory_available_bytes: int
    agent_memory_bytes: int
    disk_free_bytes: int
    uptime_s: float
    agent_version: str
    temperature_c: float | None = None
    throttled_bits: int | None = None
    outbox_depth: int = 0
    outbox_dropped: int = 0
    gpu_load_percent: float | None = None
    power_w: float | None = None  # of the whole board
    memory_pressure_percent: float | None = None  # of the last ten seconds, some process waited for memory


class Drift(msgspec.Struct, frozen=True):
    """Distance of a window from the reference as an effect size in [0, 1] (Jensen-Shannon, base 2).

    `limit` is the calibrated bound; below `minimum_count` inferences `state` is `too_few`.
    """

    score: float
    limit: float
    state: str  # ok, drifting, too_few


class Window(msgspec.Struct, frozen=True, omit_defaults=True):
    """Aggregates of one model version over one stretch of time; key `(device, digest, variant, boot_id, index)`."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    stream: str
    sequence: Annotated[int, msgspec.Meta(ge=1)]
    boot_id: str
    index: int
    slot: Id
    target: VersionRef
    variant: str
    started_at: str
    duration_s: float
    count: int
    latency_us: Histogram
    confidence: Histogram
    class_counts: dict[str, int]
    errors: int = 0
    dropped: int = 0
    deadline_misses: int = 0
    rollout: str = ""
    arm: str = ""
    application: str = ""
    drift: Drift | None = None


class PresenceMessage(msgspec.Struct, frozen=True):
    """Retained; `offline` is the last will. A will of an older `session` is ignored."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    presence: Presence
    session: int
    boot_id: str
