"""Bodies of the REST interface between studio, command line, devices and server.

Operators send `Authorization: Bearer <token>`; devices send HTTP Basic with their id and password. Commands and
field samples are in `contract.commands` and `contract.samples`.

| method and path | who | body → answer |
|---|---|---|
| GET /v1/server | anyone | → ServerInfo |
| POST /v1/enroll | claim | EnrollRequest → EnrollAnswer |
| POST /v1/claims | operator | ClaimRequest → ClaimAnswer |
| GET /v1/trust/keys | operator | → ServerKeys |
| POST /v1/trust/publications | operator | Publication → PublicationAnswer |
| GET /v1/tuf/metadata/<file> | device, operator | → bytes |
| GET /v1/tuf/targets/<path> | device, operator | → bytes (a path as TUF asks for it, digest prefix in the name) |
| PUT, HEAD, GET /v1/artifacts/<sha256> | operator writes, both read | bytes; Range |
| GET /v1/artifacts/<sha256>/blocks, …/patches | device, operator | → BlockList, PatchList (hints that nobody signs) |
| GET /v1/artifacts/<sha256>/patches/<sha256> | device, operator | → bytes; Range |
| GET /v1/devices, /v1/devices/<id>; POST /v1/devices/<id>/revoke | operator | → DeviceView |
| GET /v1/models, /v1/models/<model>; PUT /v1/models/<model>/aliases/<alias> | operator | AliasRequest → ModelView |
| POST, GET /v1/rollouts; GET /v1/rollouts/<id> | operator | RolloutSpec → RolloutView |
| POST /v1/rollouts/<id>/<action> | operator | RolloutAction → RolloutView |
| GET /v1/events?after=&device=&limit= | operator | → EventPage |
| GET /v1/windows?device=&rollout=&after=&limit= | operator | → list[WindowView] |
| GET /v1/device/desired | device | → envelope bytes, ETag |
| GET /v1/audit?limit= | operator | → list[AuditEntry] |
"""

from typing import Annotated, Any

import msgspec

from contract.manifest import Id, Sha256, VersionNumber
from contract.messages import Health, Reported, Telemetry, UpdatePolicy, VersionRef, Window
from contract.states import ComparisonVerdict, GateVerdict, Presence, RolloutState, UpdateState

ROLLOUT_ACTIONS = ("approve", "start", "pause", "resume", "abort", "rollback")


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer; readers ignore fields they do not know."""


class Request(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A request; unknown fields are refused, so that a typing error is not silently a default."""


class ErrorBody(Body, frozen=True):
    """Every answer of 400 and above: whose fault, what was expected, what to do."""

    error: str
    advice: str = ""


class ServerInfo(Body, frozen=True):
    """Public facts of the server."""

    name: str
    version: str
    fleet: Id
    mqtt_url: str  # mqtt://host:port or mqtts://host:port
    trust_ready: bool


class ClaimRequest(Request, frozen=True):
    """Register a claim; the secret itself never reaches the server before the device uses it."""

    claim_id: str
    secret_sha256: Sha256
    device: Id
    expires_at: str
    hardware_class: str = ""


class ClaimAnswer(Body, frozen=True):
    """What the maker of the token needs to know of the server."""

    fleet: Id
    root_sha256: Sha256  # of the server's 1.root.json, to be compared with the studio's own
    ca_sha256: str = ""


class EnrollRequest(Request, frozen=True):
    """A device makes its keys and password itself and shows the claim's secret once."""

    claim_id: str
    secret: str
    public_key: dict[str, Any]
    password: Annotated[str, msgspec.Meta(min_length=32, max_length=200)]
    hardware_class: str
    agent_version: str


class EnrollAnswer(Body, frozen=True):
    """What a device pins for good."""

    fleet: Id
    device: Id
    mqtt_url: str
    director_key: dict[str, Any]
    root: str  # 1.root.json, base64


class ServerKeys(Body, frozen=True):
    """Public halves of the online keys, which the studio writes into the TUF root."""

    online: dict[str, Any]  # signs snapshot and timestamp
    director: dict[str, Any]  # signs desired documents and commands


class Publication(Request, frozen=True):
    """Signed role files as bytes in base64, by file name without version (`root`, `targets`, `model-x`, …).

    Artifacts that new targets name must have been uploaded before. The server verifies everything
    before it stores anything, then signs snapshot and, last, timestamp. `roots` are the roots between
    the one in force and the one among `roles`, oldest first: a chain of roots has no gaps.
    """

    roles: dict[str, str]
    roots: tuple[str, ...] = ()


class PublicationAnswer(Body, frozen=True):
    """Versions now in force."""

    versions: dict[str, int]


class DeviceView(Body, frozen=True):
    """A device as the operator sees it."""

    device: Id
    fleet: Id
    hardware_class: str
    enrolled_at: str
    presence: Presence
    last_seen_at: str = ""
    revoked: bool = False
    desired_revision: int = 0
    desired: VersionRef | None = None
    reported: Reported | None = None
    health: Health | None = None
    latency_p95_ms: float | None = None  # of the last window


class VersionView(Body, frozen=True):
    """A model version in the registry."""

    model: Id
    version: VersionNumber
    digest: Sha256
    published_at: str
    task: str
    size_bytes: int
    variants: dict[str, float]  # name to score on the desk
    lineage: dict[str, Any]
    aliases: tuple[str, ...] = ()


class ModelView(Body, frozen=True):
    """A registered model."""

    model: Id
    versions: tuple[VersionView, ...]
    aliases: dict[str, int]
    min_version: int = 1
    acceptance_minimum: float | None = None


class AliasRequest(Request, frozen=True):
    """Point an alias (champion, candidate) at a version."""

    version: VersionNumber


class PhaseSpec(Request, frozen=True):
    """One phase: the share of the cohort exposed (basis points, cumulative) and how long it bakes."""

    share_bp: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    duration_s: Annotated[float, msgspec.Meta(ge=0, le=90 * 86400)] = 0.0


class GateSpec(Request, frozen=True):
    """Limits of a rollout.

    `tolerated_failure_share` and `alpha` belong to the e-process on the failure rate;
    `max_failures` stops at that many failed devices whatever the e-process says (0: off);
    `latency_factor` bounds treatment against control (95th percentile), and never fails a treatment
    faster than `latency_floor_ms`, where the clock's noise is larger than any difference that
    matters; `minimum_inferences` per arm before a comparison counts.
    """

    tolerated_failure_share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=0.5)] = 0.01
    max_failures: Annotated[int, msgspec.Meta(ge=0)] = 0
    latency_factor: Annotated[float, msgspec.Meta(gt=1)] = 1.5
    latency_floor_ms: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    minimum_inferences: Annotated[int, msgspec.Meta(ge=0)] = 0


class RolloutSpec(Request, frozen=True):
    """What an operator asks for.

    With `control_version` it is an A/B rollout: the cohort is split by `control_weight` and
    `treatment_weight`; without, everything is treatment. `devices` empty means the whole fleet.
    `on_failure` is `rollback` or `pause`. `stagger_s` spaces the devices of a phase. `force` lets
    devices try a version again that they have quarantined. Devices whose agent is older than
    `agent_min_version` refuse it.
    """

    name: str
    model: Id
    version: VersionNumber
    phases: tuple[PhaseSpec, ...] = (PhaseSpec(10_000),)
    control_version: int | None = None
    control_weight: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    treatment_weight: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    devices: tuple[Id, ...] = ()
    application: str = ""
    application_version: int = 0
    gates: GateSpec = GateSpec()
    policy: UpdatePolicy = UpdatePolicy()
    telemetry: Telemetry = Telemetry()
    on_failure: str = "rollback"
    stagger_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 0.0
    approval: bool = False
    start: bool = True
    device_deadline_s: Annotated[float, msgspec.Meta(gt=0)] = 86400.0
    force: bool = False
    agent_min_version: Annotated[str, msgspec.Meta(max_length=40)] = ""


class RolloutAction(Request, frozen=True):
    """An operator's action; `revision` makes it a compare-and-set (409 when it moved on)."""

    revision: int
    reason: str = ""


class GateView(Body, frozen=True):
    """One gate with its verdict and the reason in words."""

    gate: str
    verdict: GateVerdict
    reason: str
    value: float | None = None
    limit: float | None = None


class ArmView(Body, frozen=True):
    """What one arm did, merged from its devices' windows."""

    arm: str
    version: VersionNumber
    devices: tuple[Id, ...]
    inferences: int
    errors: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    mean_confidence: float | None
    class_counts: dict[str, int]
    drift: float | None = None


class AssignmentView(Body, frozen=True):
    """One device within a rollout."""

    device: Id
    arm: str
    phase: int
    revision: int
    state: UpdateState | None
    settled: bool
    failed: bool
    reason: str = ""
    detail: str = ""
    rolled_back_by: str = ""  # device, rollout


class Verdict(Body, frozen=True):
    """What the comparison of the arms says, in words that promise nothing more than the data."""

    verdict: ComparisonVerdict
    text: str
    metric: str = ""
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    detectable_difference: float | None = None
    devices_per_arm: dict[str, int] = {}


class PairedView(Body, frozen=True):
    """What the devices' shadow runs say together: a share of disagreement with its 95 % interval over blocks of time."""

    devices: int
    skipped: int  # devices on which there was none
    pairs: int
    disagreements: int
    text: str
    low: float | None = None
    high: float | None = None


class RolloutView(Body, frozen=True):
    """A rollout as the operator sees it."""

    rollout: str
    spec: RolloutSpec
    state: RolloutState
    revision: int
    phase: int
    created_at: str
    updated_at: str
    state_reason: str
    gates: tuple[GateView, ...]
    arms: tuple[ArmView, ...]
    assignments: tuple[AssignmentView, ...]
    verdict: Verdict | None = None
    phase_ends_at: str = ""
    paired: PairedView | None = None


class EventView(Body, frozen=True):
    """One event with its place in the server's own order."""

    id: int
    device: Id
    stream: str
    sequence: int
    at: str
    received_at: str
    kind: str
    text: str
    data: dict[str, Any]


class EventPage(Body, frozen=True):
    """Events after a given id; `next_after` continues."""

    events: tuple[EventView, ...]
    next_after: int


class WindowView(Body, frozen=True):
    """One window with its device."""

    id: int
    device: Id
    received_at: str
    window: Window


class AuditEntry(Body, frozen=True):
    """Who did what and when."""

    id: int
    at: str
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
