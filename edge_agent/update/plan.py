"""What an update must fetch, decided from verified documents; refusals with the reason in words. No I/O."""

from collections.abc import Collection
from typing import NamedTuple

import msgspec

from contract.acceptance import AcceptanceSet, label_set_digest
from contract.application import Application
from contract.codec import decode
from contract.errors import ContractError
from contract.manifest import FileEntry, Manifest
from contract.package import read_manifest
from contract.pairs import PairedResult
from contract.states import FailureReason
from contract.trust import ModelPolicy
from edge_agent.least_agent import APPLICATION, FLEET, VERSION, find_shortfall
from edge_agent.update.records import Wish


class StepFailedError(Exception):
    """The work of a state failed, with the reason that will be reported, and the pairs where it had any."""

    def __init__(self, reason: FailureReason, detail: str, paired: PairedResult | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.paired = paired


class _Asked(msgspec.Struct):
    agent_min_version: str = ""


class Documents(NamedTuple):
    """The bytes of the documents that are vouched for; None where there is none."""

    manifest: bytes | None
    manifest_entry: FileEntry | None
    acceptance: bytes | None = None
    policy: bytes | None = None
    application: bytes | None = None
    application_entry: FileEntry | None = None


class Plan(NamedTuple):
    """An update whose documents are in order."""

    manifest: Manifest
    manifest_bytes: bytes
    files: tuple[str, ...]  # names in the manifest that this device needs
    variants: tuple[str, ...]  # those that a runtime here may load
    acceptance: AcceptanceSet | None = None
    acceptance_digest: str = ""
    application: Application | None = None

    @property
    def entries(self) -> tuple[FileEntry, ...]:
        """Every file to have as an object, the acceptance set's samples included."""
        extra = (self.acceptance.samples,) if self.acceptance else ()
        return tuple({self.manifest.files[name]: None for name in self.files}) + extra


def stated_min_version(documents: Documents, model: str) -> int:
    """The least version that the model's owner allows by the policy document.

    Raises:
        StepFailedError: the policy can not be read, or is that of another model.
    """
    if documents.policy is None:
        return 1
    try:
        policy = decode(documents.policy, ModelPolicy, "the model's policy")
    except ContractError as error:
        raise StepFailedError(FailureReason.NOT_TRUSTED, str(error)) from error
    if policy.model != model:
        raise StepFailedError(FailureReason.NOT_TRUSTED, f"the policy of {model} names the model {policy.model}")
    return policy.min_version


def build_plan(wish: Wish, documents: Documents, *, min_version: int, runtimes: Collection[str], agent_version: str) -> Plan:
    """Check the documents against the wish and each other.

    Raises:
        StepFailedError: with the reason to report.
    """
    model = wish.model
    if model.version < min_version:
        raise StepFailedError(
            FailureReason.WITHDRAWN, f"{model.model} {model.version} is below version {min_version}, the least that its owner allows"
        )
    manifest, manifest_bytes = _check_manifest(wish, documents)
    least = {VERSION: manifest.requirements.agent_min_version, FLEET: wish.agent_min_version}
    if shortfall := find_shortfall(least, agent_version):
        raise StepFailedError(FailureReason.INCOMPATIBLE, shortfall)
    variants = tuple(name for name, variant in manifest.variants.items() if variant.runtime in runtimes)
    if not variants:
        asked = ", ".join(sorted({variant.runtime for variant in manifest.variants.values()}))
        raise StepFailedError(
            FailureReason.INCOMPATIBLE, f"its variants need {asked}; installed here: {', '.join(runtimes) or 'no runtime'}"
        )
    acceptance = _check_acceptance(manifest, documents.acceptance)
    names = {manifest.golden: None, manifest.reference: None, **{manifest.variants[name].file: None for name in variants}}
    return Plan(
        manifest=manifest,
        manifest_bytes=manifest_bytes,
        files=tuple(names),
        variants=variants,
        acceptance=acceptance,
        application=_check_application(wish, documents, agent_version),
    )


def _check_manifest(wish: Wish, documents: Documents) -> tuple[Manifest, bytes]:
    model, entry = wish.model, documents.manifest_entry
    if documents.manifest is None or entry is None:
        raise StepFailedError(
            FailureReason.NOT_TRUSTED, f"nobody vouches for {model.model} {model.version}: it was withdrawn, or never published"
        )
    if entry.sha256 != model.manifest.sha256:
        raise StepFailedError(
            FailureReason.NOT_TRUSTED,
            f"the director wants {model.model} {model.version} with digest {model.manifest.sha256[:16]}…, "
            f"its owner signed {entry.sha256[:16]}…",
        )
    try:
        manifest = read_manifest(documents.manifest)
    except ContractError as error:
        raise StepFailedError(FailureReason.NOT_TRUSTED, str(error)) from error
    if (manifest.name, manifest.version) != (model.model, model.version):
        raise StepFailedError(
            FailureReason.NOT_TRUSTED, f"the manifest is of {manifest.name} {manifest.version}, asked for {model.model} {model.version}"
        )
    return manifest, documents.manifest


def _check_acceptance(manifest: Manifest, data: bytes | None) -> AcceptanceSet | None:
    if data is None:
        return None
    try:
        acceptance = decode(data, AcceptanceSet, "the acceptance set")
    except ContractError as error:
        raise StepFailedError(FailureReason.NOT_TRUSTED, str(error)) from error
    if acceptance.model != manifest.name:
        raise StepFailedError(FailureReason.NOT_TRUSTED, f"the acceptance set is that of {acceptance.model}, not of {manifest.name}")
    if acceptance.label_set_digest != label_set_digest(manifest.labels):
        raise StepFailedError(
            FailureReason.INCOMPATIBLE, f"the version's labels are not those of the acceptance set: {', '.join(manifest.labels)[:200]}"
        )
    return acceptance


def _check_application(wish: Wish, documents: Documents, agent_version: str) -> Application | None:
    wanted = wish.application
    if wanted is None:
        return None
    entry = documents.application_entry
    if documents.application is None or entry is None:
        raise StepFailedError(FailureReason.NOT_TRUSTED, f"nobody vouches for the application {wanted.name} {wanted.version}")
    if entry.sha256 != wanted.document.sha256:
        raise StepFailedError(
            FailureReason.NOT_TRUSTED,
            f"the director wants the application {wanted.name} {wanted.version} with digest {wanted.document.sha256[:16]}…, "
            f"its owner signed {entry.sha256[:16]}…",
        )
    return read_application(documents.application, wish, agent_version)


def read_application(data: bytes, wish: Wish, agent_version: str) -> Application:
    """An application's document that is in order for a wish.

    Raises:
        StepFailedError: it can not be read, is for another model or for a newer agent.
    """
    try:
        asked = decode(data, _Asked, "the application").agent_min_version  # first: to an older agent the rest may be strange
        if shortfall := find_shortfall({APPLICATION: asked}, agent_version):
            raise StepFailedError(FailureReason.INCOMPATIBLE, shortfall)
        application = decode(data, Application, "the application")
    except ContractError as error:
        raise StepFailedError(FailureReason.INCOMPATIBLE, str(error)) from error
    if application.model != wish.model.model:
        raise StepFailedError(
            FailureReason.INCOMPATIBLE, f"the application {application.name} is for the model {application.model}, not {wish.model.model}"
        )
    return application
