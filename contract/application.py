"""An application: source → model → rule → sink, as a small document that is versioned and rolled out like a model."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from contract.manifest import Id, VersionNumber


class Source(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where samples come from: `kind` names an entry of the agent's table of sources, e.g. `folder`."""

    kind: str
    options: dict[str, Any] = {}


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """When predictions become an event: label (any where empty), least score, how often within how long.

    `hold_s`: met by every prediction for so long, one that does not meet it begins anew. After firing,
    the rule is silent for `cool_down_s`, and until the label's own score has fallen below `release_score`.
    """

    label: str = ""
    minimum_score: float = 0.0
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    within_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    hold_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    cool_down_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    release_score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class Sink(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where predictions go: `kind` names an entry of the agent's table of sinks, e.g. `jsonl`.

    `on`: each of the `predictions`, or only those with which one of the `rules` fires.
    """

    kind: str
    options: dict[str, Any] = {}
    on: Literal["predictions", "rules"] = "predictions"


class CapturePolicy(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which samples a device may keep for the labelling queue; the device's own policy is a second lock.

    Kept are samples whose score lies below `below_score` and a `random_share` of all, up to `max_bytes`
    on disk, the oldest deleted first. Which are chosen at random follows from `seed` and the sample's name.
    `on_disagreement`: also those on which a candidate in the shadow gave another label.
    """

    below_score: float = 0.0
    random_share: float = 0.0
    max_bytes: int = 0
    seed: int = 0
    on_disagreement: bool = False


class Application(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One application's version."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    name: Id
    version: VersionNumber
    model: Id
    source: Source
    sinks: tuple[Sink, ...]
    rules: tuple[Rule, ...] = ()
    thresholds: dict[str, float] = {}
    deadline_ms: float = 0.0
    capture: CapturePolicy = CapturePolicy()
    agent_min_version: str = ""  # an older agent refuses it
