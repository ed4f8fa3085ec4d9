"""Signed commands from the fleet: verified like a wish, carried out one after the other, each once.

The server sends a command again until it has a result. So what was done is kept in `state/commands.json`,
result included: the same command is answered from there, also after a restart of the agent. A command whose
work was cut off before its result was kept is begun again when it comes again.
"""

import asyncio
import datetime
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from contract.codec import MESSAGE_MAX_BYTES, decode, encode, parse_time, utc_now
from contract.commands import COMMAND_PAYLOAD_TYPE, Command, CommandResult, parse_options
from contract.errors import ContractError
from contract.signing import PublicKey, verify_payload
from edge_agent.home import load_document, save_document

WAITING_MAX = 16
KEPT_MAX, KEPT_AFTER_S = 200, 86400.0
WORK_MAX_S = 6 * 3600.0
ID_MAX_CHARS, TEXT_MAX_CHARS, DATA_MAX_BYTES = 80, 2000, 64 * 1024

log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How a command ended, in words for the operator and in numbers."""

    ok: bool
    text: str
    data: Mapping[str, Any] = {}


Action = Callable[[Command, Any], Awaitable[Outcome]]
"""Carries out one kind, with its options (see `contract.commands.KINDS`); it must bear being cut off and begun again."""


class Addressee(NamedTuple):
    """Who this device is for the fleet, and whose commands it takes."""

    device: str
    director: PublicKey


class _Kept(msgspec.Struct, frozen=True):
    expires_at: str
    result: CommandResult


class CommandsReceived:
    """The commands of one device; `take` may be called whenever one comes, `run` carries them out."""

    def __init__(self, path: Path, addressee: Addressee, actions: Mapping[str, Action], tell: Callable[[CommandResult], None]) -> None:
        """`path` is the file of what was done; `tell` keeps a result until the server has it."""
        self._path, self._addressee, self._actions, self._tell = path, addressee, actions, tell
        known = load_document(path, list[_Kept]) if path.exists() else None
        self._kept = {one.result.command_id: one for one in known or ()}  # the oldest first
        self._waiting: asyncio.Queue[Command] = asyncio.Queue()
        self._begun: set[str] = set()  # what waits or is at work

    def take(self, envelope: bytes) -> None:
        """Verify a command and let it wait for its turn; one that is done is answered again.

        A command that is not the director's, or not for this device, gets no answer: only a log line.
        """
        command = self._verify(envelope)
        if command is None or command.command_id in self._begun:
            return
        known = self._kept.get(command.command_id)
        if known is not None:
            self._tell(known.result)
        elif len(self._begun) >= WAITING_MAX:
            self._end(command, Outcome(ok=False, text=f"{WAITING_MAX} commands wait on this device already; try again later"))
        else:
            self._begun.add(command.command_id)
            self._waiting.put_nowait(command)

    def _verify(self, envelope: bytes) -> Command | None:
        try:
            payload = verify_payload(envelope, COMMAND_PAYLOAD_TYPE, {"director": self._addressee.director})
            command = decode(payload, Command, "the command", MESSAGE_MAX_BYTES)
            parse_time(command.expires_at)
        except ContractError as error:
            log.warning("A command is refused: %s", error)
            return None
        if command.device != self._addressee.device:
            log.warning("A command for %s came to this device, %s; it is ignored", command.device, self._addressee.device)
            return None
        if not 0 < len(command.command_id) <= ID_MAX_CHARS:
            log.warning("A command is refused: its id has %d characters, 1 to %d are accepted", len(command.command_id), ID_MAX_CHARS)
            return None
        return command

    async def run(self) -> None:
        """Carry out what comes, until cancelled."""
        while True:
            command = await self._waiting.get()
            outcome = await self._carry_out(command)
            log.info("The command %s (%s) %s: %s", command.command_id, command.kind, "is done" if outcome.ok else "failed", outcome.text)
            self._end(command, outcome)

    async def _carry_out(self, command: Command) -> Outcome:
        left_s = (parse_time(command.expires_at) - parse_time(utc_now())).total_seconds()
        if left_s <= 0:
            return Outcome(ok=False, text=f"the command expired at {command.expires_at}")
        try:
            options = parse_options(command.kind, command.options)
            action = self._actions[command.kind]
            return await asyncio.wait_for(action(command, options), min(left_s, WORK_MAX_S))
        except (ContractError, KeyError) as error:
            text = str(error) if isinstance(error, ContractError) else f"this agent can not do {command.kind!r}"
            return Outcome(ok=False, text=text)
        except asyncio.TimeoutError:
            return Outcome(ok=False, text="it was not done before the command expired")
        except Exception as error:
            log.exception("The command %s (%s) failed unexpectedly", command.command_id, command.kind)
            return Outcome(ok=False, text=f"{type(error).__name__}: {error}")

    def _end(self, command: Command, outcome: Outcome) -> None:
        data = dict(outcome.data)
        result = CommandResult(
            CommandResult.SCHEMA_VERSION,
            command.command_id,
            outcome.ok,
            outcome.text[:TEXT_MAX_CHARS],
            data if len(encode(data)) <= DATA_MAX_BYTES else {},
        )
        self._kept[command.command_id] = _Kept(command.expires_at, result)
        self._begun.discard(command.command_id)
        self._drop_old()
        try:
            save_document(self._path, list(self._kept.values()))
        except OSError as error:
            log.warning("The result of %s can not be kept on this disk: %s", command.command_id, error)
        self._tell(result)

    def _drop_old(self) -> None:
        """An expired command is refused by its date, so that it need not be known any more."""
        since = parse_time(utc_now()) - datetime.timedelta(seconds=KEPT_AFTER_S)
        kept = {name: one for name, one in self._kept.items() if parse_time(one.expires_at) > since}
        self._kept = dict(list(kept.items())[-KEPT_MAX:])
