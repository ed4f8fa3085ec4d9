"""All slots of one agent: how many there may be, and a socket that can not be had."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path

import pytest

from contract.messages import UpdateEvent
from edge_agent import running_slots
from edge_agent.home import make_home
from edge_agent.listening import ListenError
from edge_agent.memory import Memory
from edge_agent.running_slots import SLOTS_MAX, RunningSlots
from edge_agent.settings import Settings
from edge_agent.update.journal import Journal, JournalState
from edge_agent.update.slots import SlotStore
from edge_agent.update.tools import Tools
from edge_agent.update.work_time import Turn
from edge_agent.worker.early_start import EarlyStart
from edge_agent.worker.messages import RuleFired
from edge_agent.worker.preloading import Expected
from tests.edge_agent.update.examples import wish
from tests.edge_agent.worker.test_process import until
from tests.edge_agent.worker.test_spawning import workers


class Owner:
    """Hears what slots tell."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def slot_changed(self) -> None: ...

    def update_moved(self, event: UpdateEvent) -> None: ...

    def agent_event(self, text: str, data: dict[str, str | int | float]) -> None:
        self.said.append(text)

    def rule_fired(self, fired: RuleFired, slot: str) -> None: ...


async def booted(folder: Path, early: EarlyStart | None = None) -> tuple[RunningSlots, Owner]:
    """Slots of an agent without a model; what they would do in the background is not done."""
    home, owner = make_home(folder), Owner()
    settings = Settings(http_port=0)
    tools = Tools(home, SlotStore(home), Memory(home.state / "memory.json"), settings, Turn())

    def begin(work: Coroutine[None, None, None], _name: str) -> None:
        work.close()

    slots = RunningSlots(tools, Journal(home.journal), owner, begin)
    slots.early = early
    await slots.boot(JournalState({}))
    return slots, owner


def test_a_wish_for_more_slots_than_a_device_has_is_refused_and_the_others_are_taken(tmp_path: Path) -> None:
    async def story() -> None:
        slots, owner = await booted(tmp_path / "home")
        slots.wish({f"slot-{number}": wish(1, 1) for number in range(SLOTS_MAX + 3)})
        assert len(slots.runners) == SLOTS_MAX
        assert len(owner.said) == 4, "with the main slot there were so many"
        assert all(f"this device has {SLOTS_MAX} slots already" in text for text in owner.said)
        slots.close()

    asyncio.run(story())


def test_a_new_slot_whose_socket_can_not_be_had_is_told_and_harms_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ListenError("no descriptor is left")

    async def story() -> None:
        slots, owner = await booted(tmp_path / "home")
        monkeypatch.setattr(running_slots, "Listening", refuse)
        slots.wish({"other": wish(1, 1), "main": wish(1, 1)})
        assert list(slots.runners) == ["main"]
        assert owner.said == ["slot other can not be opened: no descriptor is left"]
        assert slots.runners["main"].is_settled is False, "its own wish waits"
        slots.close()

    asyncio.run(story())


def test_an_endpoint_file_that_can_not_be_written_is_told_and_written_later(tmp_path: Path) -> None:
    async def story() -> None:
        slots, _ = await booted(tmp_path / "home")
        path = tmp_path / "home" / "run" / "endpoint.json"
        path.unlink()
        path.mkdir()
        slots.write_endpoint()
        assert slots.endpoint_trouble
        path.rmdir()
        slots.write_endpoint()
        assert (slots.endpoint_trouble, path.is_file()) == ("", True)
        slots.close()

    asyncio.run(story())


def test_a_worker_that_was_begun_for_a_version_that_does_not_serve_ends(tmp_path: Path) -> None:
    async def story() -> None:
        early = EarlyStart()
        early.begin(Expected("onnx-float32"), None)
        await until(lambda: len(workers()) == 1)
        slots, _ = await booted(tmp_path / "home", early)
        await until(lambda: not workers())
        await early.close()
        slots.close()

    asyncio.run(story())
