"""What this agent does when the fleet sends a command: one function a kind, never more than the device's own policy allows."""

import asyncio
import datetime
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from contract.codec import format_time, parse_time, utc_now
from contract.commands import Benchmark, CaptureSamples, Command, Report, RestartWorker, UploadSamples
from edge_agent.benchmarking import find_subject, measure_subject
from edge_agent.capture.store import CAPTURED_FOLDER
from edge_agent.capture.wish import CaptureWish, save_wish
from edge_agent.commands_received import Action, Outcome
from edge_agent.slot_runner import SlotRunner
from edge_agent.update.tools import Tools
from edge_agent.uploads import Upload, send_samples
from edge_agent.worker_keeper import Serving, StartError

LOOK_S = 0.05
NOT_ALLOWED = Outcome(ok=False, text="this device's owner does not allow it: capture_samples in config.json is off")
BUSY = Outcome(ok=False, text="an update is under way; ask again when it has ended")


class Means(NamedTuple):
    """What commands are carried out with."""

    tools: Tools
    runners: Mapping[str, SlotRunner]
    report: Callable[[], None]  # sends the reported state soon


def list_actions(means: Means) -> dict[str, Action]:
    """The action of every kind of `contract.commands.KINDS`."""
    return {
        "report": partial(_report, means),
        "benchmark": partial(_benchmark, means),
        "capture_samples": partial(_capture_samples, means),
        "upload_samples": partial(_upload_samples, means),
        "restart_worker": partial(_restart_worker, means),
    }


async def _report(means: Means, _command: Command, _options: Report) -> Outcome:
    means.report()
    return Outcome(ok=True, text="the reported state is sent")


async def _benchmark(means: Means, _command: Command, options: Benchmark) -> Outcome:
    runner = means.runners.get(options.slot)
    if runner is None:
        return _no_slot(options.slot)
    current = runner.state.current
    digest = options.digest or (current.model.digest if current is not None else "")
    if not digest:
        return Outcome(ok=False, text=f"the slot {options.slot} runs no version")
    subject = await means.tools.machinery.in_thread("benchmark-subject", partial(find_subject, means.tools, digest))
    return await _unless_updated(means.runners.values(), measure_subject(means.tools, subject, options.most_threads)) or BUSY


async def _capture_samples(means: Means, _command: Command, options: CaptureSamples) -> Outcome:
    settings, runner = means.tools.settings, means.runners.get(options.slot)
    if not settings.capture_samples:
        return NOT_ALLOWED
    if runner is None:
        return _no_slot(options.slot)
    serving = runner.keeper.serving
    if serving is None or serving.application is None:
        return Outcome(ok=False, text=f"the slot {options.slot} runs no application, so there are no samples to keep")
    begun = utc_now()
    until = format_time(parse_time(begun) + datetime.timedelta(seconds=options.for_s))
    wish = CaptureWish(begun, until, options.share)
    await means.tools.machinery.in_thread("capture-wish", partial(save_wish, means.tools.home.folder, options.slot, wish))
    limits = f"by this device's policy at most {settings.capture_per_hour} an hour and {settings.capture_max_bytes / 1e6:.0f} MB in all"
    return Outcome(ok=True, text=f"{options.share:.0%} of the samples are kept until {until}, {limits}", data={"until": until})


async def _upload_samples(means: Means, command: Command, options: UploadSamples) -> Outcome:
    tools = means.tools
    if not tools.settings.capture_samples:
        return NOT_ALLOWED
    if tools.http is None:
        return Outcome(ok=False, text="this device has no way to the server over HTTP")
    stop = threading.Event()
    upload = Upload(tools.http, command.command_id, tools.home.folder / CAPTURED_FOLDER, options, stop)
    try:
        return await tools.machinery.in_thread("upload-samples", partial(send_samples, upload))
    finally:
        stop.set()


async def _restart_worker(means: Means, _command: Command, options: RestartWorker) -> Outcome:
    runner = means.runners.get(options.slot)
    if runner is None:
        return _no_slot(options.slot)
    serving = runner.keeper.serving
    if serving is None:
        return Outcome(ok=False, text=f"the slot {options.slot} runs no version")
    return await _unless_updated([runner], _serve_anew(runner, serving)) or BUSY


async def _serve_anew(runner: SlotRunner, serving: Serving) -> Outcome:
    try:
        await runner.keeper.serve(serving)
    except StartError as error:
        return Outcome(ok=False, text=f"another worker does not start, so the one before serves on: {error.detail}")
    return Outcome(ok=True, text=f"a new worker serves in the slot {runner.name}")


async def _unless_updated(runners: Iterable[SlotRunner], work: Coroutine[Any, Any, Outcome]) -> Outcome | None:
    """The outcome of `work`, None where an update is under way or begins: it must neither be disturbed nor be overtaken."""
    task = asyncio.create_task(work, name="command")
    slots = list(runners)
    try:
        while not task.done():
            if not all(runner.is_settled for runner in slots):
                return None
            await asyncio.wait([task], timeout=LOOK_S)
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _no_slot(slot: str) -> Outcome:
    return Outcome(ok=False, text=f"this device has no slot {slot}")
