"""What an update needs of this device, for the doctor: an agent that is new enough, an open window, a cool board."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from contract.errors import ContractError
from contract.files import read_bounded
from contract.maintenance import parse_window
from contract.manifest import MANIFEST_MAX_BYTES, MANIFEST_NAME
from contract.messages import Desired
from contract.package import read_manifest
from edge_agent.enrolment import EnrolmentError, load_identity
from edge_agent.findings import GOOD, NOTE, WRONG, Finding
from edge_agent.hardware import agent_version
from edge_agent.heat import Heat, find_heat, is_slowed_down, read_heat, temperature_words
from edge_agent.home import Home
from edge_agent.last_good_settings import load_last_good
from edge_agent.least_agent import FLEET, find_shortfall
from edge_agent.settings import Settings, SettingsError, load_settings
from edge_agent.update.maintenance import find_closed
from edge_agent.update.slots import CURRENT, SlotStore
from edge_agent.update.wishes import WishRefusedError, load_desired


def examine_conditions(home: Home) -> list[Finding]:
    """Each condition; what the settings say where they can be read."""
    desired = _find_desired(home)
    try:
        settings = load_settings(home.folder)
    except SettingsError:  # said of the settings
        settings = load_last_good(home.folder) or Settings()
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    return [_least_agent(home, desired), describe_windows(settings, desired, now), describe_heat(read_heat(), settings)]


def _find_desired(home: Home) -> Desired | None:
    """What the fleet wishes for, as it was kept; None where there is nothing that is signed rightly."""
    try:
        identity = load_identity(home)
        if identity is None:
            return None
        record = identity.record
        verified = load_desired(home.state / "desired.json", identity.director_key, fleet=record.fleet, device=record.device)
    except (EnrolmentError, WishRefusedError):
        return None
    return verified.document if verified is not None else None


def _least_agent(home: Home, desired: Desired | None) -> Finding:
    store, agent = SlotStore(home), agent_version()
    asked = {FLEET: desired.agent_min_version if desired is not None else ""}
    for slot in store.slot_names():
        current = store.pointer(slot, CURRENT)
        if current is not None:
            name = f"{current.model.model} {current.model.version} in the slot {slot}"
            asked[name] = _least_agent_of(store.version_folder(current.model.digest))
    if shortfall := find_shortfall(asked, agent):
        return Finding("Agent's version", WRONG, shortfall, "Install the newer agent (the operator's guide says how), then ask again")
    return Finding("Agent's version", GOOD, f"{agent} is new enough for what is installed and wished for")


def _least_agent_of(version: Path) -> str:
    try:
        return read_manifest(read_bounded(version / MANIFEST_NAME, MANIFEST_MAX_BYTES)).requirements.agent_min_version
    except (OSError, ContractError):  # that it is damaged is said of the models
        return ""


def describe_windows(settings: Settings, desired: Desired | None, now: datetime.datetime) -> Finding:
    """When updates may be downloaded and activated, and whose windows hold."""
    asked = desired.policy if desired is not None else None
    told = [
        _window_words("download", settings.download_windows, asked.download_windows if asked else (), now),
        _window_words("activation", settings.activation_windows, asked.activation_windows if asked else (), now),
    ]
    return Finding("Maintenance", GOOD, "; ".join(told))


def _window_words(what: str, owner: Sequence[str], operator: Sequence[str], now: datetime.datetime) -> str:
    texts = owner or operator
    if not texts:
        return f"{what} at any time"
    whose = "config.json" if owner else "the fleet"
    closed = find_closed([parse_window(text) for text in texts], now)
    return f"{what} only {' or '.join(texts)} ({whose}), {closed or 'open now'}"


def describe_heat(heat: Heat, settings: Settings) -> Finding:
    """Whether updates wait for this device to cool down."""
    stated_c = settings.update_max_temperature_c
    if text := find_heat(heat, stated_c):
        return Finding("Temperature", NOTE, f"{temperature_words(heat)}: {text}, so updates wait", "Cool it: a heat sink, a fan, shade")
    if is_slowed_down(heat, stated_c):
        text = f"{temperature_words(heat)}, but the processor is slowed down: latencies that are measured now mislead"
        return Finding("Temperature", NOTE, text, "A supply that holds its voltage under load and a short cable")
    return Finding("Temperature", GOOD, temperature_words(heat))
