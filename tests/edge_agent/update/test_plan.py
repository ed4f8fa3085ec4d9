"""What an update must fetch, and every reason to refuse it before a byte of the model is fetched."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from contract.acceptance import AcceptanceSet
from contract.application import Application, Sink, Source
from contract.codec import encode
from contract.files import sha256_of
from contract.manifest import FileEntry, Manifest
from contract.messages import DesiredApplication, DesiredModel
from contract.package import Package
from contract.signing import generate_key
from contract.states import FailureReason
from contract.trust import ModelPolicy
from edge_agent.update.plan import Documents, Plan, StepFailedError, build_plan, stated_min_version
from edge_agent.update.records import Wish
from tests.simulators.packages import make_acceptance, make_package

APPLICATION = Application(1, "watch", 4, "digits", Source("folder"), (Sink("jsonl"),))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return make_package(tmp_path_factory.mktemp("p") / "p", key=generate_key(), version=3, variants=("onnx-float32", "litert-float32"))


@pytest.fixture(scope="module")
def acceptance(tmp_path_factory: pytest.TempPathFactory) -> AcceptanceSet:
    folder: Path = tmp_path_factory.mktemp("a")
    return make_acceptance(folder)[0]


def wish_for(data: bytes, version: int = 3, application: Application | None = None) -> Wish:
    document = encode(application) if application else b""
    asked = DesiredApplication(application.name, application.version, FileEntry(sha256_of(document), 1)) if application else None
    return Wish(1, DesiredModel("digits", version, FileEntry(sha256_of(data), len(data))), asked)


def documents_of(data: bytes, **more: Any) -> Documents:
    return Documents(data, FileEntry(sha256_of(data), len(data)), **more)


def plan(wish: Wish, documents: Documents, **options: Any) -> Plan:
    defaults: dict[str, Any] = {"min_version": 1, "runtimes": ("onnx", "litert"), "agent_version": "0.1.0"}
    return build_plan(wish, documents, **{**defaults, **options})


def changed(package: Package, **fields: Any) -> bytes:
    return encode(msgspec.structs.replace(msgspec.json.decode(package.manifest_bytes, type=Manifest), **fields))


def test_only_what_this_device_loads_is_fetched(package: Package, acceptance: AcceptanceSet) -> None:
    wish, documents = wish_for(package.manifest_bytes), documents_of(package.manifest_bytes, acceptance=encode(acceptance))
    both, one = plan(wish, documents), plan(wish, documents, runtimes=("onnx",))
    assert set(both.variants) == {"onnx-float32", "litert-float32"}
    assert one.variants == ("onnx-float32",)
    assert set(one.files) == {"golden.npz", "reference.json", "onnx-float32.onnx"}
    assert one.entries[-1] == acceptance.samples


def test_an_application_comes_with_it(package: Package) -> None:
    data = encode(APPLICATION)
    documents = documents_of(package.manifest_bytes, application=data, application_entry=FileEntry(sha256_of(data), len(data)))
    assert plan(wish_for(package.manifest_bytes, application=APPLICATION), documents).application == APPLICATION


def refusals(package: Package, acceptance: AcceptanceSet) -> list[tuple[Wish, Documents, dict[str, Any], FailureReason, str]]:
    good = package.manifest_bytes
    wish, documents = wish_for(good), documents_of(good)
    other, newer, agent = changed(package, name="letters"), changed(package, schema_version=9), changed(package)
    needs = encode({**msgspec.json.decode(agent), "requirements": {"agent_min_version": "9.0.0"}})
    labels = msgspec.structs.replace(acceptance, label_set_digest="0" * 64)
    foreign = msgspec.structs.replace(acceptance, model="letters")
    app = encode(msgspec.structs.replace(APPLICATION, model="letters"))
    app_wish = Wish(1, wish.model, DesiredApplication("watch", 4, FileEntry(sha256_of(app), 1)))
    app_documents = documents._replace(application=app, application_entry=FileEntry(sha256_of(app), 1))
    newer_app = encode({**msgspec.to_builtins(APPLICATION), "agent_min_version": "0.3", "of_newer_agents": 1})
    newer_wish = Wish(1, wish.model, DesiredApplication("watch", 4, FileEntry(sha256_of(newer_app), 1)))
    newer_documents = documents._replace(application=newer_app, application_entry=FileEntry(sha256_of(newer_app), 1))
    return [
        (wish, documents, {"min_version": 4}, FailureReason.WITHDRAWN, "below version 4"),
        (wish, Documents(None, None), {}, FailureReason.NOT_TRUSTED, "nobody vouches"),
        (wish, documents_of(other), {}, FailureReason.NOT_TRUSTED, "its owner signed"),
        (wish_for(other), documents_of(other), {}, FailureReason.NOT_TRUSTED, "is of letters 3"),
        (wish_for(newer), documents_of(newer), {}, FailureReason.NOT_TRUSTED, "schema version 9"),
        (wish_for(needs), documents_of(needs), {}, FailureReason.INCOMPATIBLE, "the version needs agent 9.0.0 or newer, this is 0.1.0"),
        (msgspec.structs.replace(wish, agent_min_version="0.2"), documents, {}, FailureReason.INCOMPATIBLE, "the fleet needs agent 0.2"),
        (newer_wish, newer_documents, {}, FailureReason.INCOMPATIBLE, "the application needs agent 0.3 or newer, this is 0.1.0"),
        (wish, documents, {"runtimes": ()}, FailureReason.INCOMPATIBLE, "no runtime"),
        (wish, documents._replace(acceptance=b"{}"), {}, FailureReason.NOT_TRUSTED, "acceptance set is not valid"),
        (wish, documents._replace(acceptance=encode(foreign)), {}, FailureReason.NOT_TRUSTED, "that of letters"),
        (wish, documents._replace(acceptance=encode(labels)), {}, FailureReason.INCOMPATIBLE, "labels are not those"),
        (wish_for(good, application=APPLICATION), documents, {}, FailureReason.NOT_TRUSTED, "application watch 4"),
        (app_wish, app_documents, {}, FailureReason.INCOMPATIBLE, "is for the model letters"),
    ]


def test_each_reason_to_refuse(package: Package, acceptance: AcceptanceSet) -> None:
    for wish, documents, options, reason, words in refusals(package, acceptance):
        with pytest.raises(StepFailedError, match=words) as refused:
            plan(wish, documents, **options)
        assert refused.value.reason is reason, words


def test_the_least_version_comes_from_the_models_own_policy() -> None:
    assert stated_min_version(Documents(None, None), "digits") == 1
    assert stated_min_version(Documents(None, None, policy=encode(ModelPolicy(1, "digits", 5))), "digits") == 5
    for policy in (encode(ModelPolicy(1, "letters", 5)), b"{}", encode(ModelPolicy(2, "digits", 5))):
        with pytest.raises(StepFailedError):
            stated_min_version(Documents(None, None, policy=policy), "digits")
