"""A small real TUF repository in a folder, with python-tuf: root 2 of 3, a role per model, all keys at hand."""

import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from contract.trust import role_paths


def in_days(days: float) -> datetime.datetime:
    return (datetime.datetime.now(tz=datetime.timezone.utc) + datetime.timedelta(days=days)).replace(microsecond=0)


class TufFolder:
    """`metadata/` and `targets/` as a server would serve them."""

    def __init__(self, folder: Path) -> None:
        self.metadata, self.targets = folder / "metadata", folder / "targets"
        self.metadata.mkdir(parents=True)
        self.targets.mkdir()
        self.root_keys = [CryptoSigner.generate_ed25519() for _ in range(3)]
        self.targets_key, self.online_key = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
        self.role_keys: dict[str, CryptoSigner] = {}
        self.roles: dict[str, Metadata[Targets]] = {}
        self.expires = in_days(30)
        self.root = self._make_root()
        self.top = Metadata(Targets(expires=self.expires, delegations=Delegations({}, {})))
        self.snapshot = Metadata(Snapshot(expires=self.expires))
        self.timestamp = Metadata(Timestamp(expires=self.expires))
        self.released = 0
        self.role_versions: dict[str, int] = {}
        self._sign_targets()
        self.release()

    @property
    def root_bytes(self) -> bytes:
        return (self.metadata / "1.root.json").read_bytes()

    def _make_root(self) -> Metadata[Root]:
        root = Root(expires=self.expires, consistent_snapshot=True)
        for signer in self.root_keys:
            root.add_key(signer.public_key, "root")
        root.roles["root"].threshold = 2
        root.add_key(self.targets_key.public_key, "targets")
        for role in ("snapshot", "timestamp"):
            root.add_key(self.online_key.public_key, role)
        metadata = Metadata(root)
        for signer in self.root_keys[:2]:
            metadata.sign(signer, append=True)
        metadata.to_file(str(self.metadata / "1.root.json"))
        return metadata

    def _sign_targets(self) -> None:
        self.top.sign(self.targets_key)
        self.top.to_file(str(self.metadata / f"{self.top.signed.version}.targets.json"))

    def add_role(self, role: str) -> None:
        """Delegate a model's or application's paths to a key of its own."""
        key = self.role_keys[role] = CryptoSigner.generate_ed25519()
        delegations = self.top.signed.delegations
        assert delegations is not None
        assert delegations.roles is not None
        delegations.roles[role] = DelegatedRole(role, [], 1, terminating=True, paths=role_paths(role))
        self.top.signed.add_key(key.public_key, role)
        self.top.signed.version += 1
        self._sign_targets()
        self.roles[role] = Metadata(Targets(expires=self.expires))

    def set_target(self, role: str, path: str, data: bytes | None) -> None:
        """Sign a target (None withdraws it) and release."""
        if role not in self.roles:
            self.add_role(role)
        signed = self.roles[role].signed
        if data is None:
            signed.targets.pop(path, None)
        else:
            info = signed.targets[path] = TargetFile.from_data(path, data)
            folder, _, name = path.rpartition("/")
            target = self.targets / folder / f"{info.hashes['sha256']}.{name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        self.sign_role(role, self.role_keys[role])
        self.release()

    def sign_role(self, role: str, signer: CryptoSigner) -> None:
        """The next version of a role's file, by this key."""
        metadata = self.roles[role]
        metadata.signed.version = self.role_versions[role] = self.role_versions.get(role, 0) + 1
        metadata.sign(signer)
        metadata.to_file(str(self.metadata / f"{metadata.signed.version}.{role}.json"))

    def release(self, expires: datetime.datetime | None = None) -> None:
        """Snapshot, then timestamp, last."""
        meta = {"targets.json": MetaFile(self.top.signed.version)}
        meta |= {f"{role}.json": MetaFile(version) for role, version in self.role_versions.items()}
        self.snapshot.signed.meta = meta
        self.released += 1
        self.snapshot.signed.version = self.timestamp.signed.version = self.released
        self.snapshot.sign(self.online_key)
        self.snapshot.to_file(str(self.metadata / f"{self.snapshot.signed.version}.snapshot.json"))
        self.timestamp.signed.snapshot_meta = MetaFile(self.snapshot.signed.version)
        self.timestamp.signed.expires = expires or self.expires
        self.timestamp.sign(self.online_key)
        self.timestamp.to_file(str(self.metadata / "timestamp.json"))
