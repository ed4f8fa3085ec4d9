"""What `eyelet-agent doctor` looks at: each check gives a finding in words, with what to do."""

import datetime
import os
import platform
import shutil
import sys
from collections.abc import Callable

import msgspec

from contract.codec import parse_time
from contract.rest import ServerInfo
from contract.states import UpdateState
from edge_agent.conditions import examine_conditions
from edge_agent.door_findings import examine_door
from edge_agent.enrolment import EnrolmentError, load_identity
from edge_agent.findings import GOOD, NOTE, WRONG, Finding
from edge_agent.hardware import agent_version, hardware_class, installed_runtimes
from edge_agent.home import Home, HomeError, load_document
from edge_agent.home_lock import HomeLock
from edge_agent.http_client import HttpError, ServerHttp
from edge_agent.last_good_settings import LAST_GOOD_FILE, load_last_good
from edge_agent.memory import Remembered
from edge_agent.ownership import advice, check_readable, find_foreign
from edge_agent.settings import Settings, SettingsError, load_settings
from edge_agent.status import STALE_S, find_obstacle, read_status
from edge_agent.trust_store import TrustError, TrustStore
from edge_agent.update.journal import Journal
from edge_agent.update.slots import SlotStore
from edge_agent.update.waiting import BUILT_AT

OLDEST_PYTHON = (3, 10)
DISK_LOW_BYTES = 500 << 20
CLOCK_TOLERANCE_S = 300.0


def examine(home: Home) -> list[Finding]:
    """All checks in the order in which a person would fix things."""
    found = [_python(), _runtimes(), _clock(), _folder(home)]
    if found[-1].verdict == GOOD:
        checks: tuple[Callable[[Home], Finding], ...] = (
            _disk,
            _settings,
            _running,
            _trust,
            _enrolment,
            _server,
            _versions,
            _journal,
        )
        found += [check(home) for check in checks] + _door(home) + examine_conditions(home) + _patches(home) + _usb_folder(home)
        found += _foreign(home) + _said_by_agent(home)
    return found


def _said_by_agent(home: Home) -> list[Finding]:
    """What a running agent finds wrong with itself; nothing where none runs."""
    if not _is_running(home):
        return []
    status = read_status(home.status)
    if status is None:
        return [Finding("Agent", NOTE, "runs, but has not yet said how it is", "Ask again in a few seconds")]
    age_s = (datetime.datetime.now(tz=datetime.timezone.utc) - parse_time(status.at)).total_seconds()
    if not -STALE_S < age_s < STALE_S:
        advice = "Look at the log (journalctl -u eyelet-agent) and restart it"
        return [Finding("Agent", WRONG, f"runs, but has said nothing for {age_s:.0f} s (or the clock was set)", advice)]
    return [finding for finding in status.findings if finding.verdict != GOOD or finding.subject.startswith("Slot")]


def _is_running(home: Home) -> bool:
    lock = HomeLock(home.lock)
    try:
        lock.take()
    except HomeError:
        return True
    lock.release()
    return False


def _python() -> Finding:
    text = f"Python {platform.python_version()} on {hardware_class()}, agent {agent_version()}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("Python", WRONG, text, "Install Python 3.10 or newer")
    return Finding("Python", GOOD, text)


def _runtimes() -> Finding:
    runtimes = installed_runtimes()
    if not runtimes:
        return Finding("Runtimes", WRONG, "none is installed, no model can run", "pip install onnxruntime ai-edge-litert")
    return Finding("Runtimes", GOOD, ", ".join(f"{name}: {library}" for name, library in runtimes.items()))


def _folder(home: Home) -> Finding:
    try:
        if not home.state.is_dir():
            begin = "Begin with `eyelet-agent enroll TOKEN` or `eyelet-agent install PACKAGE`"
            return Finding("Folder", WRONG, f"{home.folder} is no agent's folder", begin)
        check_readable(home)
    except (HomeError, PermissionError) as error:
        return Finding("Folder", WRONG, str(error))
    return Finding("Folder", GOOD, str(home.folder))


def _foreign(home: Home) -> list[Finding]:
    foreign = find_foreign(home)
    if foreign is None:
        return []
    text = f"{foreign.path} belongs to {foreign.owner}, and the agent is {foreign.agents_user}, who can not replace it"
    return [Finding("Folder", WRONG, text, advice(foreign, home))]


def _disk(home: Home) -> Finding:
    if (obstacle := find_obstacle(home.folder)) is not None:
        return obstacle
    free = shutil.disk_usage(home.folder).free
    if free < DISK_LOW_BYTES:
        return Finding(
            "Disk", WRONG, f"{free >> 20} MiB are free", "Free some space; an update needs room for the new version beside the old one"
        )
    return Finding("Disk", GOOD, f"{free >> 20} MiB are free")


def _settings(home: Home) -> Finding:
    try:
        settings = load_settings(home.folder)
    except SettingsError as error:
        advice = f"Correct or remove {home.folder / 'config.json'}, then restart the agent"
        if load_last_good(home.folder) is not None:
            advice += f"; until then it starts with the last good settings, {LAST_GOOD_FILE}"
        return Finding("Settings", WRONG, str(error), advice)
    return Finding("Settings", GOOD, f"HTTP port {settings.http_port or 'any'}, {settings.threads} thread(s) per inference")


def _door(home: Home) -> list[Finding]:
    try:
        return examine_door(load_settings(home.folder), home.folder)
    except SettingsError:
        return []  # said already


def _clock() -> Finding:
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    text = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    if now < BUILT_AT:
        return Finding(
            "Clock",
            WRONG,
            f"{text} can not be: it is before this agent was built",
            "Set the clock (`timedatectl set-ntp true`); updates of the fleet wait for it",
        )
    return Finding("Clock", GOOD, text)


def _running(home: Home) -> Finding:
    if _is_running(home):
        endpoint = load_document(home.endpoint, dict[str, object]) or {}
        return Finding("Agent", GOOD, f"runs, answers at {endpoint.get('url', '?')}")
    return Finding("Agent", NOTE, "does not run", f"Start it: eyelet-agent run --home {home.folder}")


def _trust(home: Home) -> Finding:
    try:
        keys = TrustStore(home.trust).keys()
    except TrustError as error:
        return Finding("Trust", WRONG, str(error))
    if keys:
        return Finding("Trust", GOOD, f"lone packages may be signed by {', '.join(keys)}")
    return Finding(
        "Trust", NOTE, "no key is trusted for lone packages (a fleet needs none)", "To install one: eyelet-agent trust add FILE.pub.json"
    )


def _enrolment(home: Home) -> Finding:
    try:
        identity = load_identity(home)
    except EnrolmentError as error:
        return Finding("Enrolment", WRONG, str(error))
    if identity is None:
        return Finding("Enrolment", NOTE, "this device belongs to no fleet", "To join one: eyelet-agent enroll TOKEN")
    record = identity.record
    return Finding("Enrolment", GOOD, f"{record.device} of the fleet {record.fleet} since {record.enrolled_at}")


def _server(home: Home) -> Finding:
    try:
        identity = load_identity(home)
        if identity is None:
            return Finding("Server", NOTE, "none: this device belongs to no fleet")
        record = identity.record
        http = ServerHttp(record.server_url, credentials=(record.device, identity.password), ca_file=identity.ca_file)
        info = msgspec.json.decode(http.get("/v1/server", 64 * 1024)[0], type=ServerInfo)
        http.get("/v1/tuf/metadata/timestamp.json", 64 * 1024)
    except HttpError as error:
        if error.status in {401, 403}:
            return Finding(
                "Server", WRONG, f"refuses this device: {error}", "It was revoked, or enrolled anew elsewhere; enrol again with --again"
            )
        return Finding("Server", WRONG, str(error), "Check the network and whether the server runs; inference goes on without it")
    except (EnrolmentError, msgspec.DecodeError) as error:
        return Finding("Server", WRONG, f"its answer can not be read: {error}")
    return Finding("Server", GOOD, f"{info.name} {info.version} answers at {record.server_url}")


def _versions(home: Home) -> Finding:
    store = SlotStore(home)
    lines, wrong = [], False
    for slot in store.slot_names():
        current = store.pointer(slot, "current")
        if current is None:
            continue
        whole = store.check_installed(current) is not None
        wrong |= not whole
        lines.append(
            f"{slot} runs {current.model.model} {current.model.version} ({current.variant}){'' if whole else ', DAMAGED on this disk'}"
        )
    if not lines:
        return Finding("Models", NOTE, "none is installed")
    advice = "The agent goes back to the last known good version at its next start" if wrong else ""
    return Finding("Models", WRONG if wrong else GOOD, "; ".join(lines), advice)


def _patches(home: Home) -> list[Finding]:
    """What patches saved since this device was set up; nothing where none was ever tried."""
    memory = load_document(home.state / "memory.json", Remembered)
    if memory is None or not (memory.patched.files or memory.patched.failed):
        return []
    patched = memory.patched
    came = "1 file came as a patch" if patched.files == 1 else f"{patched.files} files came as patches"
    failed = f"; {patched.failed} failed, and the whole was fetched" if patched.failed else ""
    return [Finding("Patches", GOOD, f"{came} and saved {patched.saved_bytes / 1e6:.1f} MB{failed}")]


def _usb_folder(home: Home) -> list[Finding]:
    """Whether bundles can come from the folder that the settings name; nothing where they name none."""
    try:
        named = load_settings(home.folder).usb_folder
    except SettingsError:  # said already
        named = (load_last_good(home.folder) or Settings()).usb_folder
    if not named:
        return []
    folder, subject = home.folder / named, "USB folder"
    try:
        with os.scandir(folder):
            return [Finding(subject, GOOD, f"{folder} is looked into for bundles")]
    except FileNotFoundError:
        advice = "Nothing is wrong where it appears with a stick; else correct usb_folder in config.json and restart the agent"
        return [Finding(subject, NOTE, f"{folder} is not there, so no bundle comes from it", advice)]
    except NotADirectoryError:
        return [Finding(subject, WRONG, f"{folder} is no folder", "Correct usb_folder in config.json and restart the agent")]
    except OSError as error:
        advice = "Let the agent's user read it (the user eyelet, where systemd runs the agent)"
        return [Finding(subject, NOTE, f"{folder} can not be looked into from here: {error.strerror}", advice)]


def _journal(home: Home) -> Finding:
    known = Journal(home.journal).read(repair=False)
    if known.damage:
        return Finding("Updates", WRONG, known.damage, "Restart the agent: it serves the last known good version and begins a new journal")
    troubled = [
        f"{slot}: {update.wish.model.model} {update.wish.model.version} {update.state.value}"
        + (f" ({update.reason.value}: {update.detail})" if update.reason else f", {update.waits_for}" if update.waits_for else "")
        for slot, update in known.updates.items()
    ]
    failed = any(update.state in {UpdateState.FAILED, UpdateState.ROLLED_BACK} for update in known.updates.values())
    return Finding("Updates", NOTE if failed else GOOD, "; ".join(troubled) or "there was none yet")
