"""What a server that was put back from an older copy lacks: send again what this studio holds, and name what only packages have."""

import re
from collections.abc import Iterator, Sequence

from tuf.api.metadata import TargetFile

from contract.files import sha256_of
from contract.trust import MODEL_ROLE_PREFIX, policy_target
from desktop_app.errors import ReleaseError
from desktop_app.release.server_client import ServerClient
from desktop_app.release.tuf_repository import TufRepository
from desktop_app.release.tuf_roles import ROOT, TARGETS

_ADVICE = (
    "Publish each of these once more, in any order: the server keeps the files that come, and the last publication makes all of them valid"
)


def resend_lost(client: ServerClient, repository: TufRepository, roles: Sequence[str]) -> None:
    """See to it that the server has the files that lost roles list, so that it can take these roles again.

    Policies are made again here; manifests, acceptance sets and applications must be published again.

    Raises:
        ReleaseError: files are absent; the message names what they belong to.
    """
    missing: list[str] = []
    for role in roles:
        if role in {ROOT, TARGETS}:
            continue
        _resend_policy(client, repository, role)
        missing += [in_words(path) for path, _ in _absent(client, repository, role)]
    if missing:
        names = ", ".join(sorted(missing))
        raise ReleaseError(f"the server was put back from an older copy and lacks the files of {names}", _ADVICE)


def _absent(client: ServerClient, repository: TufRepository, role: str) -> Iterator[tuple[str, TargetFile]]:
    for path, target in repository.targets_of(role).items():
        if not client.has_artifact(target.hashes["sha256"]):
            yield path, target


def _resend_policy(client: ServerClient, repository: TufRepository, role: str) -> None:
    if not role.startswith(MODEL_ROLE_PREFIX):
        return
    model = role.removeprefix(MODEL_ROLE_PREFIX)
    listed, document = repository.targets_of(role).get(policy_target(model)), repository.find_policy(model)
    if listed is not None and document is not None and listed.hashes["sha256"] == sha256_of(document):
        client.put_artifact(sha256_of(document), document)


def in_words(path: str) -> str:
    """A target's path as a person calls it: `models/digits/2.json` is `digits version 2`."""
    match = re.fullmatch(r"(models|applications)/(.+)/(.+)\.json", path)
    if match is None:
        return path
    folder, name, what = match.groups()
    if folder == "applications":
        return f"the application {name} version {what}"
    return f"{name} version {what}" if what.isdigit() else f"the {what} of {name}"
