"""Signed commands from the fleet: verified like a wish, answered once each; an unknown kind is refused in words."""

import logging
from collections.abc import Callable, Mapping

from contract.codec import MESSAGE_MAX_BYTES, decode, parse_time, utc_now
from contract.errors import ContractError
from contract.commands import COMMAND_PAYLOAD_TYPE, Command, CommandResult
from contract.signing import PublicKey, verify_payload

log = logging.getLogger(__name__)


def answer_command(envelope: bytes, director: PublicKey, device: str, actions: Mapping[str, Callable[[], None]]) -> CommandResult | None:
    """Verify and carry out a command; `actions` by its kind must be safe to repeat.

    A command that is not the director's, or not for this device, gets no answer: only a log line.
    """
    try:
        command = decode(verify_payload(envelope, COMMAND_PAYLOAD_TYPE, {"director": director}), Command, "the command", MESSAGE_MAX_BYTES)
        expired = parse_time(command.expires_at) < parse_time(utc_now())
    except ContractError as error:
        log.warning("A command is refused: %s", error)
        return None
    if command.device != device:
        log.warning("A command for %s came to this device, %s; it is ignored", command.device, device)
        return None
    if expired:
        return _result(command, ok=False, text=f"the command expired at {command.expires_at}")
    action = actions.get(command.kind)
    if action is None:
        return _result(command, ok=False, text=f"this agent knows no command {command.kind[:60]!r}; it knows {', '.join(sorted(actions))}")
    action()
    return _result(command, ok=True, text="done")


def _result(command: Command, *, ok: bool, text: str) -> CommandResult:
    return CommandResult(CommandResult.SCHEMA_VERSION, command.command_id, ok, text)
