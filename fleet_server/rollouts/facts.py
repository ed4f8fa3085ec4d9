"""The plain data from which a rollout is decided; kept with each decision, so that it can be replayed."""

from typing import ClassVar

import msgspec

from contract.rest import RolloutSpec
from contract.states import RolloutState, UpdateState

CONTROL = "control"
TREATMENT = "treatment"


class DeviceFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one device of the cohort; moments are seconds since 1970."""

    device: str
    arm: str
    phase: int
    exposed_at: float | None = None
    deadline_at: float | None = None
    started: bool = False  # it reported the update under way
    state: UpdateState | None = None
    settled: bool = False
    failed: bool = False
    version_fault: bool = False  # failed for a reason that speaks against the version
    called_back: bool = False  # the wish of before was issued again
    back: bool = False
    inferences: int = 0
    errors: int = 0
    latency_mean_ms: float | None = None
    latency_p95_ms: float | None = None
    mean_confidence: float | None = None
    drift_score: float | None = None
    drift_state: str = ""

    @property
    def exposed(self) -> bool:
        """Whether it was asked to update."""
        return self.exposed_at is not None

    def unreachable(self, now: float) -> bool:
        """Whether it was asked, has not settled, and its deadline is past: reported apart, never waited for."""
        return not self.settled and self.deadline_at is not None and now >= self.deadline_at


class RolloutFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that a decision depends on."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    spec: RolloutSpec
    state: RolloutState
    phase: int
    now: float
    devices: tuple[DeviceFacts, ...]
    phase_started_at: float | None = None
    rollback_started_at: float | None = None

    def exposed(self, arm: str = "") -> list[DeviceFacts]:
        """Devices that were asked to update, of one arm or of all."""
        return [device for device in self.devices if device.exposed and arm in {"", device.arm}]

    @property
    def has_control(self) -> bool:
        """Whether this is an A/B rollout."""
        return self.spec.control_version is not None
