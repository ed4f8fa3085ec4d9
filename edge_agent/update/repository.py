"""Asks the TUF repository, through a short child process, for the documents that an update needs."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import NamedTuple

from contract.codec import DOCUMENT_MAX_BYTES
from contract.files import read_bounded
from contract.manifest import FileEntry
from contract.states import FailureReason
from contract.trust import acceptance_target, application_target, manifest_target, policy_target
from edge_agent.children import ChildError, ask_child
from edge_agent.enrolment import EnrolmentRecord
from edge_agent.home import Home
from edge_agent.update.downloads import Patience
from edge_agent.update.plan import Documents, StepFailedError
from edge_agent.update.records import Wish
from edge_agent.update.tuf_messages import NO_SPACE, REFUSED, UNTRUSTED, TufAnswer, TufRequest

REFRESH_TIMEOUT_S = 120.0

log = logging.getLogger(__name__)


class Repository(NamedTuple):
    """The repository of the fleet that a device is enrolled with."""

    home: Home
    enrolment: EnrolmentRecord

    async def fetch_documents(self, wish: Wish, patience: Patience) -> Documents:
        """The documents of a wish; waits for a repository that is away, as long as `patience` says.

        Raises:
            StepFailedError: the repository is stale, wrongly signed or rolled back, the server
                refuses this device, or the patience ran out.
        """
        paths = target_paths(wish)
        return read_documents(self.home, paths, await self._refresh(tuple(paths.values()), patience))

    async def _refresh(self, targets: tuple[str, ...], patience: Patience) -> TufAnswer:
        started, tries = time.monotonic(), 0
        while True:
            answer = await self._ask(targets)
            if not answer.error:
                return answer
            if answer.kind == UNTRUSTED:
                raise StepFailedError(FailureReason.NOT_TRUSTED, answer.error)
            if answer.kind == NO_SPACE:
                raise StepFailedError(FailureReason.NO_SPACE, answer.error)
            if answer.kind == REFUSED or time.monotonic() - started > patience.total_s:
                raise StepFailedError(FailureReason.DOWNLOAD, answer.error)
            log.info("%s; trying again", answer.error)
            await asyncio.sleep(patience.delay_s(tries))
            tries += 1

    async def _ask(self, targets: tuple[str, ...]) -> TufAnswer:
        identity = self.home.identity
        request = TufRequest(
            server_url=self.enrolment.server_url,
            device=self.enrolment.device,
            password_file=str(identity / "password"),
            ca_file=str(identity / "ca.pem") if self.enrolment.ca_sha256 else "",
            root_file=str(identity / "root.json"),
            metadata_folder=str(self.home.tuf),
            objects_folder=str(self.home.objects),
            targets=targets,
        )
        return await ask_tuf(request)


def target_paths(wish: Wish) -> dict[str, str]:
    """The targets that a wish needs, by what they are in `Documents`."""
    model, application = wish.model, wish.application
    paths = {
        "manifest": manifest_target(model.model, model.version),
        "acceptance": acceptance_target(model.model),
        "policy": policy_target(model.model),
    }
    if application is not None:
        paths["application"] = application_target(application.name, application.version)
    return paths


def read_documents(home: Home, paths: Mapping[str, str], answer: TufAnswer) -> Documents:
    """The documents that the TUF child stored as objects."""
    entries = {name: answer.targets.get(path) for name, path in paths.items()}

    def read(entry: FileEntry | None) -> bytes | None:
        return read_bounded(home.objects / entry.sha256, DOCUMENT_MAX_BYTES) if entry is not None else None

    return Documents(
        manifest=read(entries["manifest"]),
        manifest_entry=entries["manifest"],
        acceptance=read(entries["acceptance"]),
        policy=read(entries["policy"]),
        application=read(entries.get("application")),
        application_entry=entries.get("application"),
    )


async def ask_tuf(request: TufRequest) -> TufAnswer:
    """The answer of a TUF child.

    Raises:
        StepFailedError: the child ended without one.
    """
    try:
        return await asyncio.wait_for(ask_child("tuf", request, TufAnswer), REFRESH_TIMEOUT_S)
    except asyncio.TimeoutError:
        return TufAnswer(error=f"the repository gave no answer within {REFRESH_TIMEOUT_S:g} s", kind="unreachable")
    except ChildError as error:
        raise StepFailedError(FailureReason.INTERNAL, str(error)) from error
