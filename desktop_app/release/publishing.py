"""Publish what a studio made: a model version with its acceptance set, a policy, an application. Files go first, signed roles last."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from contract.acceptance import AcceptanceSet
from contract.application import Application
from contract.codec import DOCUMENT_MAX_BYTES, decode
from contract.errors import ContractError
from contract.files import check_file, read_bounded, sha256_of
from contract.package import Package, opened
from contract.trust import acceptance_target, application_target, manifest_target, model_role, policy_target
from desktop_app.data.project import Project
from desktop_app.errors import ReleaseError
from desktop_app.jobs.context import JobContext, Report, SilentReport
from desktop_app.jobs.requests import PublishJob
from desktop_app.release.keys import KeyStore
from desktop_app.release.local_repository import LocalRepository
from desktop_app.release.outlets import Delivered, Delivery, FolderOutlet, Outlet, ServerOutlet
from desktop_app.release.server_client import ServerClient


class AcceptanceFiles(NamedTuple):
    """A model's acceptance set: the document as it will be published, and the samples' file that it names."""

    document: bytes
    view: AcceptanceSet
    samples: Path


class PublishResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was published; `versions` are those of the TUF roles now in force."""

    name: str
    version: int
    digest: str
    files_sent: int
    bytes_sent: int
    files_known: int
    versions: dict[str, int]
    root_sha256: str
    new: bool
    acceptance_minimum: float | None = None
    min_version: int = 0
    warnings: tuple[str, ...] = ()
    sent_again: tuple[str, ...] = ()  # roles that the server had lost


def read_acceptance(folder: Path) -> AcceptanceFiles | None:
    """The acceptance set in a folder (`acceptance.json` and `acceptance.npz`), its samples checked; None where there is none.

    Raises:
        ReleaseError: it is broken.
    """
    path = folder / "acceptance.json"
    if not path.is_file():
        return None
    try:
        document = read_bounded(path, DOCUMENT_MAX_BYTES)
        view = decode(document, AcceptanceSet, f"the acceptance set {path.name}")
        check_file(folder / "acceptance.npz", view.samples.sha256, view.samples.size_bytes)
    except (ContractError, OSError) as error:
        raise ReleaseError(f"the acceptance set in {folder} can not be published: {error}", "Build the package again.") from error
    return AcceptanceFiles(document, view, folder / "acceptance.npz")


def publish_version(
    outlet: Outlet,
    package: Package,
    acceptance: AcceptanceFiles | None = None,
    *,
    min_version: int | None = None,
    report: Report | None = None,
) -> PublishResult:
    """Publish a checked package; its model's acceptance set goes with it the first time, or when the set changed.

    Publishing the same package again changes nothing and says so (`new` is False).

    Raises:
        ReleaseError: the number was used for other content, or the acceptance set belongs to another model.
        ServerError: the server refused or can not be reached; nothing is in force then.
    """
    manifest, reporting = package.manifest, report or SilentReport()
    files = [Delivery(package.digest, package.manifest_bytes, manifest_target(manifest.name, manifest.version))]
    files += [Delivery(entry.sha256, package.path_of(name)) for name, entry in manifest.files.items()]
    repository = outlet.repository
    policy = b"" if min_version is None else repository.make_policy(manifest.name, min_version)
    if policy:
        files.append(Delivery(sha256_of(policy), policy, policy_target(manifest.name)))
    if acceptance is not None:
        files += _acceptance_files(manifest.name, acceptance)
    delivered = outlet.deliver(files, reporting)
    new = repository.add_version(manifest.name, manifest.version, package.manifest_bytes)
    if policy:
        repository.add_policy(manifest.name, policy)
    if acceptance is not None:
        repository.add_acceptance(manifest.name, acceptance.document)
    minimum = acceptance.view.minimum_score if acceptance is not None else None
    result = _release(outlet, (manifest.name, manifest.version, package.digest), delivered, new=new)
    return msgspec.structs.replace(result, acceptance_minimum=minimum, min_version=min_version or 0)


def _acceptance_files(model: str, acceptance: AcceptanceFiles) -> list[Delivery]:
    if acceptance.view.model != model:
        raise ReleaseError(f"the acceptance set is that of {acceptance.view.model}, the package that of {model}")
    document = Delivery(sha256_of(acceptance.document), acceptance.document, acceptance_target(model))
    return [document, Delivery(acceptance.view.samples.sha256, acceptance.samples)]


def publish_acceptance(outlet: Outlet, acceptance: AcceptanceFiles, *, report: Report | None = None) -> PublishResult:
    """Publish a model's acceptance set alone, replacing the one before."""
    model = acceptance.view.model
    delivered = outlet.deliver(_acceptance_files(model, acceptance), report or SilentReport())
    new = outlet.repository.add_acceptance(model, acceptance.document)
    result = _release(outlet, (model, 0, sha256_of(acceptance.document)), delivered, new=new)
    return msgspec.structs.replace(result, acceptance_minimum=acceptance.view.minimum_score)


def publish_policy(outlet: Outlet, model: str, min_version: int) -> PublishResult:
    """Say the lowest version of a model that devices may run; it can only rise, and devices remember it."""
    document = outlet.repository.make_policy(model, min_version)
    delivered = outlet.deliver([Delivery(sha256_of(document), document, policy_target(model))], SilentReport())
    new = outlet.repository.add_policy(model, document)
    return msgspec.structs.replace(_release(outlet, (model, 0, sha256_of(document)), delivered, new=new), min_version=min_version)


def withdraw_version(outlet: Outlet, model: str, version: int) -> PublishResult:
    """Take a version out of the targets: no device activates it any more.

    Raises:
        ReleaseError: it is not published.
    """
    if not outlet.repository.withdraw(model, version):
        raise ReleaseError(f"{model} version {version} is not published here", "List what is: eyelet-fleet models")
    return _release(outlet, (model, version, ""), Delivered(0, 0, 0), new=True)


def read_application(path: Path) -> tuple[bytes, Application]:
    """An application's document, as the bytes that will be published.

    Raises:
        ReleaseError: it can not be read or is none; the message names the field.
    """
    try:
        document = read_bounded(path, DOCUMENT_MAX_BYTES)
        return document, decode(document, Application, f"the application {path.name}")
    except (ContractError, OSError) as error:
        raise ReleaseError(f"{path} can not be published: {error}") from error


def publish_application(outlet: Outlet, document: bytes, *, report: Report | None = None) -> PublishResult:
    """Publish an application's document, byte for byte.

    Raises:
        ReleaseError: it is no application, or its number was used for other content.
    """
    try:
        view = decode(document, Application, "the application")
    except ContractError as error:
        raise ReleaseError(str(error)) from error
    target = application_target(view.name, view.version)
    delivered = outlet.deliver([Delivery(sha256_of(document), document, target)], report or SilentReport())
    new = outlet.repository.add_application(view.name, view.version, document)
    return _release(outlet, (view.name, view.version, sha256_of(document)), delivered, new=new)


def _release(outlet: Outlet, subject: tuple[str, int, str], delivered: Delivered, *, new: bool) -> PublishResult:
    repository = outlet.repository
    repository.renew()
    lost = tuple(outlet.lost_roles())
    versions = outlet.release()
    return PublishResult(
        name=subject[0],
        version=subject[1],
        digest=subject[2],
        files_sent=delivered.files,
        bytes_sent=delivered.size_bytes,
        files_known=delivered.known_files,
        versions=versions,
        root_sha256=repository.root_digest(),
        new=new,
        sent_again=lost,
        warnings=tuple(repository.warnings()),
    )


class PublishOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PublishJob.options`: a folder instead of a server, root keys kept elsewhere, the lowest version that may run."""

    folder: str = ""
    root_keys: tuple[str, ...] = ()
    min_version: int | None = None


def run_publish_job(project: Project, job: PublishJob, context: JobContext) -> PublishResult:
    """The job behind `publish`; secrets: `passphrase` of the keys, `token` of the operator (not for a folder).

    Raises:
        StudioError: with the reason and what to do.
    """
    return publish_job(job, context, project_folder=project.folder)


def publish_job(job: PublishJob, context: JobContext, *, project_folder: Path | None) -> PublishResult:
    """Check a package with this studio's keys and publish it, with its model's acceptance set if the project has one."""
    options = _options(job.options)
    store, path = KeyStore(Path(job.keys_folder), context.secret("passphrase")), Path(job.package)
    try:
        with opened(path, store.trusted_keys()) as package:
            name = package.manifest.name
            if package.signed_by != model_role(name):
                raise ReleaseError(f"{path.name} is signed by {package.signed_by}, expected the key of the model {name}")
            acceptance = read_acceptance(project_folder / "acceptance" / name) if project_folder else None
            with _open_outlet(job.server, store, options, context) as outlet:
                return publish_version(outlet, package, acceptance, min_version=options.min_version, report=context)
    except ContractError as error:
        raise ReleaseError(f"{path.name} can not be published: {error}") from error


@contextlib.contextmanager
def _open_outlet(server: str, store: KeyStore, options: PublishOptions, context: JobContext) -> Iterator[Outlet]:
    root_files = [Path(name) for name in options.root_keys]
    if options.folder:
        yield FolderOutlet(LocalRepository(store, Path(options.folder), root_files=root_files))
        return
    with ServerClient(server, context.secret("token")) as client:
        yield ServerOutlet(client, store, root_files)


def _options(given: dict[str, Any]) -> PublishOptions:
    try:
        return msgspec.convert(given, PublishOptions)
    except msgspec.ValidationError as error:
        raise ReleaseError(f"the options of publishing are not valid: {error}") from error
