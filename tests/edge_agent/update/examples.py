"""Wishes and slots for the tests of the update rules."""

from contract.manifest import FileEntry
from contract.messages import DesiredApplication, DesiredModel, UpdatePolicy
from contract.states import UpdateState
from edge_agent.update.events import Slot
from edge_agent.update.records import Installed, Update, Wish


def digest_of(version: int) -> str:
    return f"{version:064x}"


def wish(version: int, revision: int, *, force: bool = False, application: int = 0, policy: UpdatePolicy | None = None) -> Wish:
    app = DesiredApplication("watch", application, FileEntry(f"{application:060x}abcd", 10)) if application else None
    model = DesiredModel("digits", version, FileEntry(digest_of(version), 100), force=force, rollout=f"r{revision}", arm="treatment")
    return Wish(revision, model, app, policy or UpdatePolicy(probation_s=5.0))


def installed(version: int, *, application: int = 0) -> Installed:
    asked = wish(version, 1, application=application)
    return Installed(asked.model.ref, "onnx-float32", asked.application_ref)


def running(version: int = 1) -> Slot:
    """A slot at rest that runs a committed version."""
    done = Update(UpdateState.DONE, wish(version, version), variant="onnx-float32")
    return Slot(current=installed(version), last_known_good=installed(version), update=done)
