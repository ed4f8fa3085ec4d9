"""The states, reasons and verdicts that cross a wire, each with the one word used for it everywhere."""

from enum import Enum


class UpdateState(str, Enum):
    """States of an update on a device, in the order of the work; the last three are final."""

    QUEUED = "queued"
    PREFLIGHT = "preflight"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    STAGED = "staged"
    SELF_TESTING = "self_testing"
    SHADOWING = "shadowing"
    ACTIVATING = "activating"
    PROBATION = "probation"
    COMMITTING = "committing"
    ROLLING_BACK = "rolling_back"
    DONE = "done"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"


FINAL_UPDATE_STATES = frozenset({UpdateState.DONE, UpdateState.FAILED, UpdateState.ROLLED_BACK})


class FailureReason(str, Enum):
    """Why an update ended in `failed` or `rolled_back`."""

    NOT_TRUSTED = "not_trusted"  # TUF does not vouch, a signature or digest is wrong
    WITHDRAWN = "withdrawn"  # below min_version
    QUARANTINED = "quarantined"  # this digest failed here before
    INCOMPATIBLE = "incompatible"  # no variant that a runtime here loads, agent too old
    NO_SPACE = "no_space"
    DEVICE_NOT_READY = "device_not_ready"  # too hot, or without a right clock, for too long; says nothing about the version
    DOWNLOAD = "download"
    GOLDEN_MISMATCH = "golden_mismatch"
    ACCEPTANCE_BELOW_MINIMUM = "acceptance_below_minimum"
    MODEL_CRASHED = "model_crashed"  # the self-test's process died
    TIMED_OUT = "timed_out"
    SHADOW_DISAGREEMENT = "shadow_disagreement"  # beside the version that serves it answered otherwise too often
    SHADOW_ERRORS = "shadow_errors"
    SHADOW_TOO_FEW_PAIRS = "shadow_too_few_pairs"  # fewer than the policy demands; says nothing about the version
    PROBATION_LATENCY = "probation_latency"
    PROBATION_ERRORS = "probation_errors"
    PROBATION_CRASHES = "probation_crashes"
    PROBATION_NO_INFERENCES = "probation_no_inferences"
    INTERRUPTED = "interrupted"  # power cut or kill; says nothing about the version
    SUPERSEDED = "superseded"  # a newer desired revision came
    INTERNAL = "internal"


VERSION_FAULTS = frozenset(
    {
        FailureReason.GOLDEN_MISMATCH,
        FailureReason.ACCEPTANCE_BELOW_MINIMUM,
        FailureReason.MODEL_CRASHED,
        FailureReason.TIMED_OUT,
        FailureReason.SHADOW_DISAGREEMENT,
        FailureReason.SHADOW_ERRORS,
        FailureReason.PROBATION_LATENCY,
        FailureReason.PROBATION_ERRORS,
        FailureReason.PROBATION_CRASHES,
    }
)
"""Reasons that speak against the version itself: its digest is quarantined and the rollout counts a failure."""


class RolloutState(str, Enum):
    """States of a rollout on the server."""

    DRAFT = "draft"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"


FINAL_ROLLOUT_STATES = frozenset({RolloutState.SUCCEEDED, RolloutState.ROLLED_BACK, RolloutState.ABORTED, RolloutState.SUPERSEDED})


class GateVerdict(str, Enum):
    """What a gate says; every verdict comes with a reason in words."""

    PASS = "pass"  # noqa: S105  (a verdict, not a password)
    WAIT = "wait"
    FAIL = "fail"


class ComparisonVerdict(str, Enum):
    """What the comparison of two arms says."""

    TREATMENT_BETTER = "treatment_better"
    CONTROL_BETTER = "control_better"
    NO_WORSE = "no_worse"
    INCONCLUSIVE = "inconclusive"


class Presence(str, Enum):
    """Whether a device holds a session with the broker."""

    ONLINE = "online"
    OFFLINE = "offline"


class HealthState(str, Enum):
    """Can this device serve?"""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILING = "failing"
