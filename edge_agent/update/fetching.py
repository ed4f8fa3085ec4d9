"""What an update needs before anything of it may run: documents that are vouched for, room, files, a whole version."""

import threading
from functools import partial

import psutil

from contract.errors import ContractError
from contract.files import check_file
from contract.manifest import FileEntry
from contract.states import FailureReason
from edge_agent.hardware import agent_version
from edge_agent.http_client import ServerHttp
from edge_agent.update.bundles import fetch_bundled_documents, take_from_bundle
from edge_agent.update.downloads import DownloadError, Patience, WrongContentError, fetch_object
from edge_agent.update.events import Succeeded
from edge_agent.update.lone_package import read_lone_package
from edge_agent.update.patches import Savings, describe_savings, fetch_by_patch
from edge_agent.update.plan import Plan, StepFailedError, build_plan, stated_min_version
from edge_agent.update.records import Update
from edge_agent.update.tools import Tools


class Fetching:
    """The work of preflight, downloading and verifying, with the plan that the first makes for the others."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.plan: Plan | None = None

    async def preflight(self, update: Update) -> Succeeded:
        """Documents that are vouched for, room for the files, a plan; raises StepFailedError."""
        tools, wish = self._tools, update.wish
        if wish.is_from_bundle:
            documents = await fetch_bundled_documents(tools.home, wish)
        elif wish.package:
            documents = await tools.machinery.in_thread("read-package", partial(read_lone_package, tools.home, wish, tools.store.disk))
        elif tools.repository is None:
            raise StepFailedError(FailureReason.NOT_TRUSTED, "this device is not enrolled, so nobody can vouch for a version")
        else:
            documents = await tools.repository.fetch_documents(wish, Patience(tools.settings.repository_patience_s))
        model = wish.model.model
        min_version = tools.memory.raise_min_version(model, stated_min_version(documents, model))
        runtimes = tools.machinery.find_runtimes()
        plan = build_plan(wish, documents, min_version=min_version, runtimes=runtimes, agent_version=agent_version())
        self._check_room(plan)
        self.plan = plan
        return Succeeded(update.state)

    def _check_room(self, plan: Plan) -> None:
        missing = sum(entry.size_bytes for entry in plan.entries if not self._tools.store.has_object(entry))
        free = psutil.disk_usage(str(self._tools.home.folder)).free
        needed = max(missing, plan.manifest.requirements.disk_bytes) + self._tools.settings.disk_reserve_bytes
        if missing and free < needed:
            raise StepFailedError(FailureReason.NO_SPACE, f"{needed} bytes are needed (reserve included), {free} are free")
        memory = psutil.virtual_memory().available
        if plan.manifest.requirements.memory_bytes > memory:
            raise StepFailedError(
                FailureReason.INCOMPATIBLE,
                f"the version needs {plan.manifest.requirements.memory_bytes} bytes of memory, {memory} are available",
            )

    async def download(self, update: Update) -> Succeeded:
        """Every file of the plan that is not here yet; raises StepFailedError."""
        http = self._tools.http
        missing = await self._tools.machinery.in_thread("look-at-objects", self._find_missing)
        if update.wish.is_from_bundle:
            for entry in missing:
                take = partial(take_from_bundle, self._tools.home, update.wish, entry, self._tools.store.disk)
                await self._tools.machinery.in_thread("take-from-bundle", take)
            return Succeeded(update.state)
        if missing and http is None:
            raise StepFailedError(FailureReason.DOWNLOAD, "this device is not enrolled, so there is nowhere to fetch from")
        savings = Savings()
        try:
            for entry in missing:
                savings = Savings(*map(sum, zip(savings, await self._fetch(http, entry), strict=True)))
        except WrongContentError as error:
            raise StepFailedError(FailureReason.NOT_TRUSTED, str(error)) from error
        except DownloadError as error:
            raise StepFailedError(FailureReason.DOWNLOAD, str(error)) from error
        if savings:
            self._tools.memory.count_patches(savings.files, savings.saved_bytes, savings.failed)
        return Succeeded(update.state, detail=describe_savings(savings))

    def _find_missing(self) -> list[FileEntry]:
        """What must be fetched; objects that are damaged on this disk count."""
        store, entries = self._tools.store, dict.fromkeys(self.planned().entries)
        store.drop_other_partials(entries)
        for entry in entries:
            store.drop_wrong_object(entry)
        return [entry for entry in entries if not store.has_object(entry)]

    async def _fetch(self, http: ServerHttp | None, entry: FileEntry) -> Savings:
        """As a patch where that saves bytes, else whole."""
        tools, cancelled, savings = self._tools, threading.Event(), Savings()
        if http is None:
            return savings
        patience = Patience(tools.settings.download_patience_s)
        try:
            savings = await fetch_by_patch(tools, http, entry, cancelled)
            if not savings.files:
                objects, disk = tools.home.objects, tools.store.disk
                fetch = partial(fetch_object, http, entry, objects, cancelled=cancelled, patience=patience, disk=disk)
                await tools.machinery.in_thread("download", fetch)
        finally:
            cancelled.set()
        return savings

    async def verify(self, update: Update) -> Succeeded:
        """The version as a folder of files that are what the manifest says; raises StepFailedError."""
        plan, digest, store = self.planned(), update.wish.model.manifest.sha256, self._tools.store
        assemble = partial(store.assemble, digest, plan.manifest_bytes, plan.files, plan.manifest)
        try:
            await self._tools.machinery.in_thread("assemble", assemble)
            if plan.acceptance is not None:
                samples = plan.acceptance.samples
                check_file(store.object_path(samples.sha256), samples.sha256, samples.size_bytes)
        except ContractError as error:
            raise StepFailedError(FailureReason.NOT_TRUSTED, str(error)) from error
        return Succeeded(update.state)

    def planned(self) -> Plan:
        """The plan that the preflight made; raises StepFailedError."""
        if self.plan is None:
            raise StepFailedError(FailureReason.INTERNAL, "the update's plan is lost")
        return self.plan
