"""Commands as they come to a device: verified, in their turn, each once, whatever is sent again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from contract.codec import encode
from contract.commands import COMMAND_PAYLOAD_TYPE, KINDS, Command, CommandResult
from contract.messages import DESIRED_PAYLOAD_TYPE
from contract.signing import PrivateKey, generate_key, sign_document
from edge_agent import commands_received
from edge_agent.commands_received import Addressee, CommandsReceived, Outcome

DIRECTOR = generate_key()
FAR = "2099-01-01T00:00:00.000Z"


class Desk:
    """One device's commands; `done` are those that were carried out, `told` the results."""

    def __init__(self, path: Path, act: Callable[[Command], Any] | None = None) -> None:
        self.done: list[str] = []
        self.told: list[CommandResult] = []
        self._heard = asyncio.Event()
        self._act = act
        self.commands = CommandsReceived(path, Addressee("pi-01", DIRECTOR.public), dict.fromkeys(KINDS, self._carry_out), self._tell)

    async def _carry_out(self, command: Command, _options: object) -> Outcome:
        if self._act is not None:
            await self._act(command)
        self.done.append(command.command_id)
        return Outcome(True, f"done {command.command_id}", {"kind": command.kind})

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Desk"]:
        task = asyncio.create_task(self.commands.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def heard(self, count: int) -> None:
        await asyncio.wait_for(self._hear(count), 20)

    async def _hear(self, count: int) -> None:
        while len(self.told) < count:
            self._heard.clear()
            await self._heard.wait()

    def _tell(self, result: CommandResult) -> None:
        self.told.append(result)
        self._heard.set()


def signed(
    command_id: str, kind: str = "report", *, key: PrivateKey = DIRECTOR, kind_of: str = COMMAND_PAYLOAD_TYPE, **fields: Any
) -> bytes:
    command = Command(1, command_id, fields.pop("device", "pi-01"), kind, fields.pop("expires_at", FAR), fields)
    return sign_document(encode(command), kind_of, key)


def results_of(tmp_path: Path, *envelopes: bytes, last: str = "last") -> Desk:
    """A life of the agent in which these come, and then one that is always answered."""

    async def live() -> Desk:
        async with Desk(tmp_path / "commands.json").running() as desk:
            for envelope in envelopes:
                desk.commands.take(envelope)
            desk.commands.take(signed(last))
            while not any(result.command_id == last for result in desk.told):
                await desk.heard(len(desk.told) + 1)
            return desk

    return asyncio.run(live())


def test_the_same_id_many_times_does_the_work_once_and_every_time_is_answered(tmp_path: Path) -> None:
    async def live() -> Desk:
        async with Desk(tmp_path / "commands.json").running() as desk:
            for _ in range(3):
                desk.commands.take(signed("c1"))
            await desk.heard(1)
            desk.commands.take(signed("c1"))
            return desk

    desk = asyncio.run(live())
    assert desk.done == ["c1"]
    assert desk.told == [CommandResult(1, "c1", ok=True, text="done c1", data={"kind": "report"})] * 2


def test_also_across_a_restart_of_the_agent(tmp_path: Path) -> None:
    results_of(tmp_path, signed("c1"))
    again = results_of(tmp_path, signed("c1"), last="end")
    assert again.done == ["end"]
    assert [result.text for result in again.told] == ["done c1", "done end"]


def test_work_that_was_cut_off_is_begun_again_when_the_command_comes_again(tmp_path: Path) -> None:
    async def live() -> None:
        begun = asyncio.Event()

        async def hang(_command: Command) -> None:
            begun.set()
            await asyncio.Event().wait()

        async with Desk(tmp_path / "commands.json", hang).running() as desk:
            desk.commands.take(signed("c1"))
            await asyncio.wait_for(begun.wait(), 20)
        assert desk.told == []

    asyncio.run(live())
    assert results_of(tmp_path, signed("c1")).done == ["c1", "last"]


FOREIGN = {
    "another key": signed("c1", key=generate_key()),
    "another device": signed("c1", device="pi-02"),
    "another kind of document": signed("c1", kind_of=DESIRED_PAYLOAD_TYPE),
    "nonsense": b"{",
    "no id": signed(""),
    "a long id": signed("c" * 200),
    "no time": signed("c1", expires_at="soon"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_the_directors_or_not_for_this_device_gets_no_answer(tmp_path: Path, name: str) -> None:
    desk = results_of(tmp_path, FOREIGN[name])
    assert desk.done == [result.command_id for result in desk.told] == ["last"]


@pytest.mark.parametrize(
    ("envelope", "words"),
    [
        (signed("c1", expires_at="2020-01-01T00:00:00Z"), "expired at 2020"),
        (signed("c1", "reboot"), "no command 'reboot'; known are report, "),
        (signed("c1", "capture_samples", share=2.0), "share"),
        (signed("c1", "benchmark", seconds=5), "seconds"),
    ],
)
def test_what_can_not_be_done_is_answered_in_words(tmp_path: Path, envelope: bytes, words: str) -> None:
    desk = results_of(tmp_path, envelope)
    assert desk.done == ["last"]
    assert (desk.told[0].ok, words in desk.told[0].text) == (False, True), desk.told


def test_work_that_fails_or_takes_too_long_does_not_hold_up_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands_received, "WORK_MAX_S", 0.05)

    async def act(command: Command) -> None:
        if command.command_id == "fails":
            raise ValueError("broken")
        if command.command_id == "hangs":
            await asyncio.Event().wait()

    async def live() -> Desk:
        async with Desk(tmp_path / "commands.json", act).running() as desk:
            for name in ("fails", "hangs", "good"):
                desk.commands.take(signed(name))
            await desk.heard(3)
            return desk

    desk = asyncio.run(live())
    assert [(result.command_id, result.ok) for result in desk.told] == [("fails", False), ("hangs", False), ("good", True)]
    assert "broken" in desk.told[0].text


def test_too_many_at_once_are_refused(tmp_path: Path) -> None:
    async def live() -> list[CommandResult]:
        desk = Desk(tmp_path / "commands.json")
        for number in range(commands_received.WAITING_MAX + 1):
            desk.commands.take(signed(f"c{number}"))
        return desk.told

    (refused,) = asyncio.run(live())
    assert (refused.command_id, refused.ok) == (f"c{commands_received.WAITING_MAX}", False)


def test_the_file_stays_small_and_a_damaged_one_is_a_new_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands_received, "KEPT_MAX", 5)
    results_of(tmp_path, *(signed(f"c{number}") for number in range(12)))
    assert results_of(tmp_path, signed("c11"), signed("c0"), last="end").done == ["c0", "end"], "the newest are known"
    (tmp_path / "commands.json").write_bytes(b"{")
    assert results_of(tmp_path, signed("c11")).done == ["c11", "last"]


def test_a_full_disk_keeps_no_result_from_the_server(tmp_path: Path) -> None:
    (tmp_path / "commands.json").mkdir()  # can not be replaced by a file
    desk = results_of(tmp_path, signed("c1"))
    assert [result.command_id for result in desk.told] == ["c1", "last"]
