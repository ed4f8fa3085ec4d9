"""Verify a publication completely against what is in force, as a device would; pure, it stores nothing.

Root is a chain: each root is signed by the one before and by itself. The whole resulting set must
hold together, since a new root or new targets may change who vouches for files that stay.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError, SerializationError

from contract.errors import FormatError, InvalidNameError, SignatureError, SizeError
from contract.signing import PublicKey
from contract.trust import ROOT_THRESHOLD, role_paths
from fleet_server.errors import ConflictError, RefusedError

ROLE_MAX_BYTES = 2 << 20
ROLES_MAX = 64
ROOT = Root.type
TARGETS = Targets.type
S = TypeVar("S", Root, Targets)


class Published(NamedTuple):
    """The role files in force, by role name, as bytes; empty before the first publication."""

    bodies: Mapping[str, bytes]


class Checked(NamedTuple):
    """A publication that holds: the new files by role, the roots between by version, and the parsed set that results."""

    new: dict[str, bytes]
    between: dict[int, bytes]
    root: Metadata[Root]
    targets: Metadata[Targets] | None
    delegated: dict[str, Metadata[Targets]]

    def versions(self) -> dict[str, int]:
        """Version in force of each role that people sign."""
        found = {ROOT: self.root.signed.version}
        if self.targets is not None:
            found[TARGETS] = self.targets.signed.version
        return found | {role: md.signed.version for role, md in self.delegated.items()}


def parse_role(name: str, body: bytes, kind: type[S]) -> Metadata[S]:
    """Parse a role file of at most `ROLE_MAX_BYTES` as `kind`.

    Raises:
        SizeError, FormatError: too large, or not such a file.
    """
    if len(body) > ROLE_MAX_BYTES:
        raise SizeError(f"the role file {name[:80]} has {len(body)} bytes, at most {ROLE_MAX_BYTES} are accepted")
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(body)
    except (DeserializationError, RecursionError) as error:
        raise FormatError(f"the role file {name[:80]} is no TUF metadata: {error}") from error
    if not isinstance(metadata.signed, kind):
        raise FormatError(f"the role file {name[:80]} is of type {metadata.signed.type!r}, expected {kind.type!r}")
    return metadata


def check_publication(
    published: Published, incoming: Mapping[str, bytes], online: PublicKey, now: datetime.datetime, roots: Sequence[bytes] = ()
) -> Checked:
    """Verify every incoming role file and the set that results; `roots` lie between the root in force and the incoming one.

    Raises:
        ConflictError: a version is not above the one in force (another studio was faster).
        RefusedError: not signed by enough of the right keys, expired, or delegating too far.
        SizeError, FormatError: a file is too large or no such metadata.
    """
    if len(incoming) + len(roots) > ROLES_MAX:
        raise SizeError(f"a publication holds at most {ROLES_MAX} role files, got {len(incoming) + len(roots)}")
    new = {name: body for name, body in incoming.items() if published.bodies.get(name) != body}
    between = tuple(roots) if ROOT in new else ()
    root = _check_root(published, new, between, online, now)
    numbered = {root.signed.version - len(between) + index: body for index, body in enumerate(between)}
    bodies = {**published.bodies, **new}
    if TARGETS not in bodies:
        _refuse_strangers(bodies, {ROOT})
        return Checked(new, numbered, root, None, {})
    targets = parse_role(TARGETS, bodies[TARGETS], Targets)
    _verify(root.signed, TARGETS, targets)
    _check_delegations(targets.signed)
    delegated = {name: parse_role(name, body, Targets) for name, body in bodies.items() if name not in {ROOT, TARGETS}}
    delegated_now = set(targets.signed.delegations.roles or {}) if targets.signed.delegations else set()
    _refuse_strangers(new, {ROOT, TARGETS} | delegated_now)
    in_force = {name: md for name, md in delegated.items() if name in delegated_now}
    for name, md in in_force.items():
        _verify(targets.signed, name, md)
        _check_paths(name, md.signed, targets.signed)
    for name, md in [(TARGETS, targets), *in_force.items()]:
        if name in new:
            _check_newer(name, published, md)
            _check_expiry(name, md.signed, now)
    return Checked(new, numbered, root, targets, in_force)


def _check_root(
    published: Published, new: Mapping[str, bytes], between: Sequence[bytes], online: PublicKey, now: datetime.datetime
) -> Metadata[Root]:
    before = parse_role(ROOT, published.bodies[ROOT], Root) if ROOT in published.bodies else None
    if ROOT not in new:
        if before is None:
            raise RefusedError(
                "there is no TUF root yet", "Publish root and targets first: the studio does it when it first meets a server."
            )
        _check_root_rules(before.signed, online)
        return before
    for body in between:  # may have expired, and may name another online key: only the last is in force
        before = _check_link(before, body)
    root = _check_link(before, new[ROOT])
    _check_root_rules(root.signed, online)
    _check_expiry(ROOT, root.signed, now)
    return root


def _check_link(before: Metadata[Root] | None, body: bytes) -> Metadata[Root]:
    root = parse_role(ROOT, body, Root)
    expected = before.signed.version + 1 if before is not None else 1
    if root.signed.version != expected:
        raise ConflictError(
            f"root has version {root.signed.version}, expected {expected}", "Fetch the root in force and sign the next one."
        )
    if before is not None:
        _verify(before.signed, ROOT, root)
    _verify(root.signed, ROOT, root)
    return root


def _check_root_rules(root: Root, online: PublicKey) -> None:
    if root.roles[ROOT].threshold < ROOT_THRESHOLD:
        raise RefusedError(
            f"root needs {root.roles[ROOT].threshold} signature, expected {ROOT_THRESHOLD} at least", "One stolen key must not be enough."
        )
    if not root.consistent_snapshot:
        raise RefusedError("root has consistent_snapshot off, expected on", "Sign a root with consistent_snapshot.")
    for role in (Snapshot.type, Timestamp.type):
        if not may_sign(root, role, online):
            raise RefusedError(
                f"root does not let this server's online key {online.keyid[:12]}… sign {role}",
                "Sign the next root with it: eyelet-studio keys renew --online-key.",
            )
    if online.keyid in {*root.roles[ROOT].keyids, *root.roles[TARGETS].keyids}:
        raise RefusedError("root lets the server's online key sign root or targets", "These keys stay with people.")


def may_sign(root: Root, role: str, online: PublicKey) -> bool:
    """Whether a root lets this key alone sign snapshot or timestamp."""
    return online.keyid in root.roles[role].keyids and root.roles[role].threshold == 1


def _verify(delegator: Root | Targets, name: str, metadata: Metadata[Any]) -> None:
    try:
        delegator.verify_delegate(name, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError, SerializationError) as error:
        raise SignatureError(f"{name} is not signed by enough keys that may sign it: {error}") from error


def _check_delegations(targets: Targets) -> None:
    if targets.targets:
        raise RefusedError(
            "the role targets lists files of its own; it only delegates", "List them in the role of their model or application."
        )
    if targets.delegations is None or targets.delegations.roles is None:
        return
    for name, role in targets.delegations.roles.items():
        try:
            allowed = role_paths(name)
        except InvalidNameError as error:
            raise RefusedError(str(error)) from error
        if role.paths != allowed or not role.terminating:
            raise RefusedError(f"the delegation to {name} covers {role.paths}, expected {allowed}, terminating")


def _check_paths(name: str, role: Targets, targets: Targets) -> None:
    if role.delegations is not None:
        raise RefusedError(f"{name} delegates further, which no role of a model or application may")
    delegation = targets.get_delegated_role(name)
    for path in role.targets:
        if not delegation.is_delegated_path(path):  # type: ignore[attr-defined]  # a DelegatedRole, declared as Role
            raise RefusedError(
                f"{name} lists {path[:120]!r}, which it may not sign", "A role lists files of its own model or application only."
            )


def _check_newer(name: str, published: Published, metadata: Metadata[Targets]) -> None:
    if name not in published.bodies:
        return
    last = parse_role(name, published.bodies[name], Targets).signed.version
    if metadata.signed.version <= last:
        raise ConflictError(
            f"{name} has version {metadata.signed.version}, the server has {last} already",
            "Somebody else published meanwhile: fetch the role in force and sign the next version.",
        )


def _check_expiry(name: str, signed: Signed, now: datetime.datetime) -> None:
    if signed.is_expired(now):
        raise RefusedError(f"{name} has expired on {signed.expires:%Y-%m-%d}", "Sign it again with a later expiry.")


def _refuse_strangers(bodies: Mapping[str, bytes], known: set[str]) -> None:
    strangers = sorted(set(bodies) - known)
    if strangers:
        raise RefusedError(
            f"no delegation names {', '.join(name[:80] for name in strangers)}", "Send targets with the delegation, or correct the name."
        )
