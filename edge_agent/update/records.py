"""What an update is about: a wish, what is installed, and how far the update came; plain values only."""

import msgspec

from contract.bundle import BUNDLE_SUFFIX
from contract.manifest import Id, Sha256, VersionNumber
from contract.messages import DesiredApplication, DesiredModel, MeasuredVariant, UpdatePolicy, VersionRef
from contract.pairs import PairedResult
from contract.states import FINAL_UPDATE_STATES, FailureReason, UpdateState


class ApplicationRef(msgspec.Struct, frozen=True):
    """An application's version by name, number and digest of its document."""

    name: Id
    version: VersionNumber
    digest: Sha256

    @classmethod
    def of(cls, application: DesiredApplication) -> "ApplicationRef":
        """The reference of a wished application."""
        return cls(application.name, application.version, application.document.sha256)


class Installed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a slot runs: a model version, the chosen variant, and perhaps an application."""

    model: VersionRef
    variant: str = ""
    application: ApplicationRef | None = None


class Wish(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a slot should run, from a desired document or (`package` set) from a lone package."""

    revision: int
    model: DesiredModel
    application: DesiredApplication | None = None
    policy: UpdatePolicy = UpdatePolicy()
    not_after: str = ""
    agent_min_version: str = ""
    package: str = ""  # file name of a lone package or a bundle in the inbox

    @property
    def is_from_bundle(self) -> bool:
        """Whether it comes from a bundle, for which TUF vouches as for a version from the fleet."""
        return self.package.endswith(BUNDLE_SUFFIX)

    @property
    def application_ref(self) -> ApplicationRef | None:
        """The wished application, None where none is wished."""
        return ApplicationRef.of(self.application) if self.application else None

    @property
    def digests(self) -> tuple[str, ...]:
        """What is quarantined when the wish fails by its own fault."""
        return (self.model.manifest.sha256, *([self.application.document.sha256] if self.application else []))

    def is_met_by(self, installed: Installed | None) -> bool:
        """Whether `installed` is what is wished."""
        return installed is not None and installed.model == self.model.ref and installed.application == self.application_ref

    def wants_the_same_as(self, other: "Wish") -> bool:
        """Whether both wish for the same model version and application."""
        return self.model.ref == other.model.ref and self.application_ref == other.application_ref


class Baseline(msgspec.Struct, frozen=True):
    """How the version before did, measured before the update; `p95_us` is an upper bound (bin's edge).

    `refused`: a function of the owner's failed at its records lately.
    """

    count: int
    p95_us: float
    refused: bool = False


class Update(msgspec.Struct, frozen=True, omit_defaults=True):
    """An update under way, or how the last one ended."""

    state: UpdateState
    wish: Wish
    attempt: int = 1
    variant: str = ""
    measured: tuple[MeasuredVariant, ...] = ()
    baseline: Baseline | None = None
    paired: PairedResult | None = None
    reason: FailureReason | None = None
    detail: str = ""
    waits_for: str = ""  # what keeps its work from going on, in words

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in FINAL_UPDATE_STATES

    @property
    def candidate(self) -> Installed:
        """What will be installed when the update succeeds."""
        return Installed(self.wish.model.ref, self.variant, self.wish.application_ref)


class Quarantined(msgspec.Struct, frozen=True):
    """Why a digest must not be activated again, and the revision that had asked for it."""

    revision: int
    reason: FailureReason
    detail: str = ""
