"""A simulated studio: the people's TUF keys and what a studio sends to the server, without training anything."""

import base64
import datetime
import secrets
import ssl
from collections.abc import Sequence
from pathlib import Path

import httpx
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Root, TargetFile, Targets

from contract.application import Application, Sink, Source
from contract.claims import Claim, build_token
from contract.codec import encode
from contract.files import sha256_of
from contract.manifest import FileEntry, Manifest, TensorSpec, Variant, VariantEvaluation
from contract.rest import ClaimAnswer, ClaimRequest, Publication, ServerInfo, ServerKeys
from contract.signing import PrivateKey, generate_key, public_key_from_dict
from contract.trust import ModelPolicy, application_role, application_target, manifest_target, model_role, policy_target, role_paths

DAYS = 365


def later(days: int = DAYS) -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(days=days)


class SimulatedStudio:
    """Keys, role files and uploads; `client` speaks to a server with the operator's token."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.root_keys = [generate_key() for _ in range(3)]
        self.targets_key = generate_key()
        self.role_keys: dict[str, PrivateKey] = {}
        self.roots: list[bytes] = []
        self.targets: Metadata[Targets] | None = None
        self.roles: dict[str, Metadata[Targets]] = {}

    def post(self, path: str, body: object) -> httpx.Response:
        return self.client.post(path, content=encode(body), headers={"content-type": "application/json"})

    def sign_root(self, *, signers: tuple[int, ...] = (0, 1), version: int = 1, online: dict | None = None, threshold: int = 2) -> bytes:
        keys = ServerKeys(**self.client.get("/v1/trust/keys").raise_for_status().json())
        root = Root(version=version, expires=later(), consistent_snapshot=True)
        for key in self.root_keys:
            root.add_key(key.public, "root")
        root.roles["root"].threshold = threshold
        root.add_key(self.targets_key.public, "targets")
        for role in ("snapshot", "timestamp"):
            root.add_key(public_key_from_dict(online or keys.online), role)
        metadata = Metadata(root)
        for index in signers:
            metadata.sign(self.root_keys[index].signer, append=True)
        return metadata.to_bytes()

    def sign_targets(self, *roles: str, version: int | None = None) -> bytes:
        known = dict(self.targets.signed.delegations.roles) if self.targets and self.targets.signed.delegations else {}
        keys = dict(self.targets.signed.delegations.keys) if self.targets and self.targets.signed.delegations else {}
        for role in roles:
            key = self.role_keys.setdefault(role, generate_key())
            keys[key.public.keyid] = key.public
            known[role] = DelegatedRole(role, [key.public.keyid], 1, terminating=True, paths=role_paths(role))
        number = version or (self.targets.signed.version + 1 if self.targets else 1)
        metadata = Metadata(Targets(version=number, expires=later(), delegations=Delegations(keys, known)))
        metadata.sign(self.targets_key.signer)
        self.targets = metadata
        return metadata.to_bytes()

    def sign_role(self, role: str, targets: dict[str, FileEntry], *, version: int | None = None, key: PrivateKey | None = None) -> bytes:
        last = self.roles.get(role)
        files = {path: TargetFile(entry.size_bytes, {"sha256": entry.sha256}, path) for path, entry in targets.items()}
        metadata = Metadata(Targets(version=version or (last.signed.version + 1 if last else 1), expires=later(), targets=files))
        metadata.sign((key or self.role_keys[role]).signer)
        self.roles[role] = metadata
        return metadata.to_bytes()

    def publish(self, roots: Sequence[bytes] = (), **roles: bytes) -> httpx.Response:
        named = {name.replace("_", "-"): base64.b64encode(body).decode() for name, body in roles.items()}
        return self.post("/v1/trust/publications", Publication(named, tuple(base64.b64encode(body).decode() for body in roots)))

    def set_up(self, *models: str) -> None:
        """First meeting: root, targets and an empty role per model."""
        names = [model_role(model) for model in models]
        root, targets = self.sign_root(), self.sign_targets(*names)
        roles = {name: self.sign_role(name, {}) for name in names}
        self.roots.append(root)
        self.publish(root=root, targets=targets, **roles).raise_for_status()

    def upload(self, data: bytes) -> FileEntry:
        entry = FileEntry(sha256_of(data), len(data))
        self.client.put(f"/v1/artifacts/{entry.sha256}", content=data).raise_for_status()
        return entry

    def listed(self, role: str) -> dict[str, FileEntry]:
        last = self.roles.get(role)
        return {path: FileEntry(file.hashes["sha256"], file.length) for path, file in last.signed.targets.items()} if last else {}

    def publish_version(self, model: str, version: int) -> FileEntry:
        """Upload a tiny version and publish the model's role with it; returns the manifest's entry."""
        files = {name: self.upload(f"{name} of {model} {version}".encode()) for name in FILE_NAMES}
        entry = self.upload(encode(make_manifest(model, version, files)))
        role = model_role(model)
        body = self.sign_role(role, {**self.listed(role), manifest_target(model, version): entry})
        self.publish(**{role: body}).raise_for_status()
        return entry

    def publish_policy(self, model: str, min_version: int) -> httpx.Response:
        entry = self.upload(encode(ModelPolicy(1, model, min_version)))
        role = model_role(model)
        return self.publish(**{role: self.sign_role(role, {**self.listed(role), policy_target(model): entry})})

    def publish_application(self, name: str, version: int, model: str) -> FileEntry:
        document = Application(1, name, version, model, Source("folder", {"path": "frames"}), (Sink("jsonl"),))
        entry = self.upload(encode(document))
        role = application_role(name)
        targets = self.sign_targets(role)
        body = self.sign_role(role, {**self.listed(role), application_target(name, version): entry})
        self.publish(targets=targets, **{role: body}).raise_for_status()
        return entry

    def make_claim(self, device: str, *, seconds: float = 600, hardware_class: str = "") -> str:
        """Register a claim and return its token."""
        secret, claim_id = secrets.token_urlsafe(32), secrets.token_hex(8)
        expires_at = (datetime.datetime.now(tz=datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).isoformat()
        request = ClaimRequest(claim_id, sha256_of(secret.encode()), device, expires_at, hardware_class)
        answer = ClaimAnswer(**self.post("/v1/claims", request).raise_for_status().json())
        info = ServerInfo(**self.client.get("/v1/server").json())
        return build_token(
            Claim(1, claim_id, str(self.client.base_url), secret, answer.root_sha256, info.fleet, device, expires_at, answer.ca_sha256)
        )


FILE_NAMES = ("model.onnx", "golden.npz", "reference.json", "report.json", "model_card.md")


def make_manifest(model: str, version: int, files: dict[str, FileEntry]) -> Manifest:
    """A manifest whose files hold nothing that runs."""
    evaluation = VariantEvaluation("accuracy", 0.95, 100)
    return Manifest(
        schema_version=1,
        name=model,
        version=version,
        task="image-classification",
        created_at="2026-01-01T00:00:00.000Z",
        labels=("a", "b"),
        inputs=(TensorSpec("frame", "uint8", (-1, -1, 3), layout="HWC"),),
        outputs=(TensorSpec("scores", "float32", (2,), layout="C"),),
        variants={"onnx-float32": Variant("onnx", "float32", "none", "model.onnx", evaluation=evaluation)},
        files=files,
    )


def operator_client(url: str, token_file: Path, certificate: Path | None = None) -> httpx.Client:
    """An HTTP client with the operator's token, trusting one certificate where given."""
    verify = ssl.create_default_context(cafile=str(certificate)) if certificate else True
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer {token_file.read_text().strip()}"}, timeout=20, verify=verify)
