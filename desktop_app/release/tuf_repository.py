"""The studio's half of a TUF repository: a folder of signed role files whose versions only rise.

There is one repository per fleet server (found by the server's online key, so that a server may
move to another address) and one for folders that are published without a server. It keeps every
version it ever signed, and in `published.json` which ones have arrived.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tuf.api.metadata import Root, TargetFile

from contract.codec import decode, encode
from contract.files import read_bounded, sha256_of, write_atomic
from contract.signing import PrivateKey, PublicKey
from contract.trust import (
    APPLICATION_ROLE_PREFIX,
    MODEL_ROLE_PREFIX,
    ModelPolicy,
    acceptance_target,
    application_role,
    application_target,
    manifest_target,
    model_role,
    policy_target,
)
from desktop_app.errors import ReleaseError
from desktop_app.release.folder_lock import locked
from desktop_app.release.keys import ROOT_NAMES, KeyStore
from desktop_app.release.keys import TARGETS as TARGETS_KEY
from desktop_app.release.repository_notes import RepositoryNotes
from desktop_app.release.role_files import ROLE_MAX_BYTES, newest_roles, newest_versions
from desktop_app.release.tuf_checks import due_roles, expiry_warnings, verify_roles
from desktop_app.release.tuf_roles import (
    ROOT,
    TARGETS,
    TIMESTAMP,
    RoleFile,
    delegated_keys,
    new_delegated,
    new_root,
    new_targets,
    read_root,
    read_targets,
    sign_role,
)

Clock = Callable[[], datetime.datetime]


def utc_clock() -> datetime.datetime:
    """The present time in UTC, in whole seconds as TUF wants it."""
    return datetime.datetime.now(tz=datetime.timezone.utc).replace(microsecond=0)


class TufRepository:
    """Signed role files in `folder`, made with the keys of `store`; `clock` gives the time of signing."""

    def __init__(self, folder: Path, store: KeyStore, clock: Clock = utc_clock) -> None:
        self.folder = folder
        self._store = store
        self._clock = clock
        self._notes = RepositoryNotes(folder)

    def find_role(self, role: str, version: int | None = None) -> bytes | None:
        """A role file, the newest unless a version is given."""
        number = version if version is not None else self.versions().get(role)
        path = self.folder / f"{number}.{role}.json"
        return read_bounded(path, ROLE_MAX_BYTES) if number is not None and path.is_file() else None

    def versions(self) -> dict[str, int]:
        """The newest version of each role."""
        return newest_versions(self.folder)

    def root_digest(self) -> str:
        """SHA-256 of `1.root.json`, from which every device starts.

        Raises:
            ReleaseError: there is no root yet.
        """
        body = self.find_role(ROOT, 1)
        if body is None:
            raise ReleaseError("there is no root of trust for this server yet", "Publish a package to it first: eyelet-studio publish")
        return sha256_of(body)

    def online_keyids(self) -> frozenset[str]:
        """Ids of the keys that may sign snapshot and timestamp."""
        return frozenset(self._online_keys())

    def _online_keys(self) -> dict[str, PublicKey]:
        body = self.find_role(ROOT)
        root = read_root(body) if body is not None else None
        return {keyid: root.keys[keyid] for keyid in root.roles[TIMESTAMP].keyids} if root is not None else {}

    def targets_of(self, role: str) -> dict[str, TargetFile]:
        """The targets that a model's or application's role lists."""
        body = self.find_role(role)
        return dict(read_targets(body).targets) if body is not None else {}

    def check_own_root(self, root: Root) -> None:
        """Check that a root from elsewhere names this studio's root keys.

        Raises:
            ReleaseError: it names others.
        """
        own = {self._store.public_key(name).keyid for name in ROOT_NAMES}
        if set(root.roles[ROOT].keyids) != own:
            raise ReleaseError(
                "the server belongs to another studio: its root of trust names other keys", "Restore the backup of the keys that made it."
            )

    # ------------------------------------------------------------------ changing

    def set_online_key(self, key: PublicKey, root_files: Sequence[Path] = ()) -> bool:
        """Let `key` sign snapshot and timestamp: makes the first root, or the next one where it is another key.

        Returns False where nothing had to change. `root_files` are root keys kept elsewhere.

        Raises:
            KeyStoreError: fewer than two root keys are at hand.
        """
        with locked(self.folder):
            if self.online_keyids() == {key.keyid}:
                return False
            self._sign_root(key, root_files)
            if self.find_role(TARGETS) is None:
                self._save(sign_role(TARGETS, new_targets(1, {}, self._clock()), [self._store.private_key(TARGETS_KEY)]))
            return True

    def sign_next_root(self, root_files: Sequence[Path] = (), online: PublicKey | None = None) -> RoleFile:
        """Sign the next root with a new expiry; it names the same online key as the one before unless another is given.

        Raises:
            KeyStoreError: fewer than two root keys are at hand.
            ReleaseError: there is no root yet.
        """
        with locked(self.folder):
            self._need(ROOT)
            return self._sign_root(online or next(iter(self._online_keys().values())), root_files)

    def _sign_root(self, online: PublicKey, root_files: Sequence[Path]) -> RoleFile:
        version = self.versions().get(ROOT, 0) + 1
        public = [self._store.public_key(name) for name in ROOT_NAMES]
        root = new_root(version, public, self._store.public_key(TARGETS_KEY), online, self._clock())
        file = sign_role(ROOT, root, self._store.root_signers(root_files))
        self._save(file)
        return file

    def add_version(self, model: str, version: int, manifest_bytes: bytes) -> bool:
        """List a version's manifest; False where exactly it is listed already.

        Raises:
            ReleaseError: another manifest has this number; versions are never exchanged.
        """
        path = manifest_target(model, version)
        known = self.targets_of(model_role(model)).get(path)
        if known is not None and known.hashes["sha256"] != sha256_of(manifest_bytes):
            raise ReleaseError(
                f"{model} version {version} was published before with other content", "Package it again; it gets the next version number."
            )
        return self._put(model_role(model), path, manifest_bytes)

    def add_acceptance(self, model: str, document: bytes) -> bool:
        """List a model's acceptance set (`contract.acceptance.AcceptanceSet` as JSON), replacing the one before."""
        return self._put(model_role(model), acceptance_target(model), document)

    def make_policy(self, model: str, min_version: int) -> bytes:
        """The policy document with the lowest version that a device may run.

        Raises:
            ReleaseError: it is lower than the one before, which devices remember.
        """
        before = self._notes.minimum(model) or 1
        if min_version < before:
            raise ReleaseError(f"the minimum version of {model} is {before} and can only rise; got {min_version}")
        return encode(ModelPolicy(ModelPolicy.SCHEMA_VERSION, model, min_version))

    def add_policy(self, model: str, document: bytes) -> bool:
        """List a model's policy (`contract.trust.ModelPolicy` as JSON); False where exactly it is listed already."""
        minimum = decode(document, ModelPolicy, "the policy").min_version
        self._notes.set_minimum(model, minimum)
        return self._put(model_role(model), policy_target(model), document)

    def withdraw(self, model: str, version: int) -> bool:
        """Take a version out of the targets, so that no device activates it again; False where it is not listed."""
        role = model_role(model)
        targets = self.targets_of(role)
        if targets.pop(manifest_target(model, version), None) is None:
            return False
        with locked(self.folder):
            self._sign_delegated(role, targets)
        return True

    def add_application(self, application: str, version: int, document: bytes) -> bool:
        """List an application's document; False where exactly it is listed already.

        Raises:
            ReleaseError: another document has this number.
        """
        path = application_target(application, version)
        known = self.targets_of(application_role(application)).get(path)
        if known is not None and known.hashes["sha256"] != sha256_of(document):
            raise ReleaseError(
                f"the application {application} version {version} was published before with other content", "Raise its version."
            )
        return self._put(application_role(application), path, document)

    def renew(self) -> list[str]:
        """Sign again, with new expiries, every role but root that ends within 60 days; returns their names."""
        due = [role for role in due_roles(newest_roles(self.folder), self._clock()) if role != ROOT]
        with locked(self.folder):
            for role in due:
                if role == TARGETS:
                    self._sign_targets(delegated_keys(read_targets(self._need(TARGETS))))
                else:
                    self._sign_delegated(role, self.targets_of(role))
        return due

    def _put(self, role: str, path: str, data: bytes) -> bool:
        target = TargetFile.from_data(path, data, ["sha256"])
        with locked(self.folder):
            self._delegate(role)
            targets = self.targets_of(role)
            if targets.get(path) == target and self.find_role(role) is not None:
                return False
            self._sign_delegated(role, {**targets, path: target})
            return True

    def _delegate(self, role: str) -> None:
        keys = delegated_keys(read_targets(self._need(TARGETS)))
        wanted = self._key_of(role).public
        if role not in keys or keys[role].keyid != wanted.keyid:
            self._sign_targets({**keys, role: wanted})

    def _sign_targets(self, keys: Mapping[str, PublicKey]) -> None:
        version = self.versions()[TARGETS] + 1
        self._save(sign_role(TARGETS, new_targets(version, keys, self._clock()), [self._store.private_key(TARGETS_KEY)]))

    def _sign_delegated(self, role: str, targets: Mapping[str, TargetFile]) -> None:
        version = self.versions().get(role, 0) + 1
        self._save(sign_role(role, new_delegated(role, version, targets, self._clock()), [self._key_of(role)]))

    def _key_of(self, role: str) -> PrivateKey:
        if role.startswith(MODEL_ROLE_PREFIX):
            return self._store.model_key(role.removeprefix(MODEL_ROLE_PREFIX))
        return self._store.application_key(role.removeprefix(APPLICATION_ROLE_PREFIX))

    def _save(self, file: RoleFile) -> None:
        self.store_role(file.role, file.version, file.body)

    def store_role(self, role: str, version: int, body: bytes) -> None:
        """Keep a signed role file; who takes one from elsewhere has verified it."""
        write_atomic(self.folder / f"{version}.{role}.json", body)

    def _need(self, role: str) -> bytes:
        body = self.find_role(role)
        if body is None:
            raise ReleaseError(f"the TUF repository has no {role} yet", "Set the online key first: publish to a server or into a folder.")
        return body

    # ------------------------------------------------------------------ publishing

    def pending_roles(self, in_force: Mapping[str, int] | None = None) -> dict[str, bytes]:
        """The newest file of each role that is not `in_force` there; by default, that has never arrived."""
        there = self._notes.published() if in_force is None else in_force
        return {role: self._need(role) for role, version in self.versions().items() if version > there.get(role, 0)}

    def lost_roles(self, in_force: Mapping[str, int]) -> list[str]:
        """Roles of which a version had arrived that is no longer `in_force`: the place was put back from an older copy."""
        published = self._notes.published()
        return sorted(role for role in self.versions() if in_force.get(role, 0) < published.get(role, 0))

    def find_policy(self, model: str) -> bytes | None:
        """The policy document of a model as it was last made; None where there never was one."""
        minimum = self._notes.minimum(model)
        return self.make_policy(model, minimum) if minimum is not None else None

    def discard(self) -> None:
        """Forget what has never arrived, because the server refused it; the next publication signs anew."""
        published = self._notes.published()
        for role in self.pending_roles():
            for version in range(published.get(role, 0) + 1, self.versions()[role] + 1):
                (self.folder / f"{version}.{role}.json").unlink(missing_ok=True)

    def confirm(self, versions: Mapping[str, int]) -> None:
        """Remember which versions have arrived."""
        self._notes.confirm(versions)

    def verify(self) -> None:
        """Check the newest files as a client would.

        Raises:
            ReleaseError: something does not hold; the message names it.
        """
        roots = [self.find_role(ROOT, version) or b"" for version in range(1, self.versions().get(ROOT, 0) + 1)]
        verify_roles(roots, newest_roles(self.folder), self._clock())

    def warnings(self) -> list[str]:
        """A sentence for every role that ends within 60 days."""
        return expiry_warnings(newest_roles(self.folder), self._clock())
