"""Take over role files that the server has and this folder lacks, and learn which versions are in force there.

The server has more where another studio published or an old backup of the keys was restored; it has
less where it was itself put back from an older copy.
"""

from collections.abc import Callable, Mapping

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from desktop_app.errors import ReleaseError
from desktop_app.release.tuf_repository import TufRepository
from desktop_app.release.tuf_roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP

Fetch = Callable[[str], bytes | None]


def catch_up(repository: TufRepository, fetch: Fetch) -> dict[str, int]:
    """Store every newer role file that the keys of this studio signed; returns the versions in force at the server.

    `fetch` gives a metadata file of the server by name, None where it has none.

    Raises:
        ReleaseError: the server serves role files that this studio's keys did not sign.
    """
    try:
        _take_roots(repository, fetch)
        listed = _listed(fetch)
        _take_newer(repository, listed, fetch)
        return {**listed, **_root_in_force(repository, fetch)}
    except (RepositoryError, DeserializationError, ValueError) as error:
        raise ReleaseError(
            f"the server serves role files that this studio did not sign: {error}",
            "Is it the right server, and are these its keys (--keys)?",
        ) from error


def _root_in_force(repository: TufRepository, fetch: Fetch) -> dict[str, int]:
    for version in range(repository.versions().get(ROOT, 0), 0, -1):
        if fetch(f"{version}.{ROOT}.json") is not None:
            return {ROOT: version}
    return {}


def _listed(fetch: Fetch) -> dict[str, int]:
    timestamp = fetch(f"{TIMESTAMP}.json")
    if timestamp is None:
        return {}
    number = Metadata[Timestamp].from_bytes(timestamp).signed.snapshot_meta.version
    snapshot = Metadata[Snapshot].from_bytes(fetch(f"{number}.{SNAPSHOT}.json") or b"").signed
    return {name.removesuffix(".json"): file.version for name, file in snapshot.meta.items()}


def _take_newer(repository: TufRepository, listed: Mapping[str, int], fetch: Fetch) -> None:
    newer = {role: version for role, version in listed.items() if version > repository.versions().get(role, 0)}
    for role in sorted(newer, key=lambda role: role != TARGETS):
        _take(repository, role, newer[role], fetch)


def _take_roots(repository: TufRepository, fetch: Fetch) -> None:
    while True:
        version = repository.versions().get(ROOT, 0)
        body = fetch(f"{version + 1}.{ROOT}.json")
        if body is None:
            return
        root = Metadata[Root].from_bytes(body)
        repository.check_own_root(root.signed)
        before = repository.find_role(ROOT)
        judges = [root.signed] if before is None else [Metadata[Root].from_bytes(before).signed, root.signed]
        for judge in judges:
            judge.verify_delegate(ROOT, root.signed_bytes, root.signatures)
        repository.store_role(ROOT, version + 1, body)


def _take(repository: TufRepository, role: str, version: int, fetch: Fetch) -> None:
    body = fetch(f"{version}.{role}.json")
    if body is None:
        raise ReleaseError(
            f"the server lists {role} version {version} and does not have it", "Ask the server's operator to restore a backup."
        )
    metadata = Metadata[Targets].from_bytes(body)
    delegator = _judge_of(repository, role)
    delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    repository.store_role(role, version, body)


def _judge_of(repository: TufRepository, role: str) -> Root | Targets:
    if role == TARGETS:
        return Metadata[Root].from_bytes(repository.find_role(ROOT) or b"").signed
    return Metadata[Targets].from_bytes(repository.find_role(TARGETS) or b"").signed
