"""What the fleet's director wishes for: verify the signed document, then read it as wishes per slot."""

from pathlib import Path
from typing import NamedTuple

from contract.codec import MESSAGE_MAX_BYTES, decode
from contract.errors import ContractError
from contract.files import read_bounded
from contract.messages import DESIRED_PAYLOAD_TYPE, Desired
from contract.signing import PublicKey, verify_payload
from edge_agent.update.disk import REAL_DISK, Disk, replace_content
from edge_agent.update.records import Wish


class WishRefusedError(Exception):
    """A desired document is not for this device, not by the pinned director, or older than what was seen."""


class VerifiedDesired(NamedTuple):
    """A desired document and the bytes that were signed, as they came."""

    document: Desired
    envelope: bytes


def verify_desired(envelope: bytes, director: PublicKey, *, fleet: str, device: str, seen: int) -> VerifiedDesired:
    """Check signature, addressee and revision; `seen` is the highest revision accepted so far.

    The same revision may come again (it is then the same wish).

    Raises:
        WishRefusedError: with the reason in words.
    """
    try:
        payload = verify_payload(envelope, DESIRED_PAYLOAD_TYPE, {"director": director})
        document = decode(payload, Desired, "the desired document", MESSAGE_MAX_BYTES)
    except ContractError as error:
        raise WishRefusedError(f"the desired document is refused: {error}") from error
    if (document.fleet, document.device) != (fleet, device):
        raise WishRefusedError(
            f"the desired document is for {document.fleet}/{document.device}, this device is {fleet}/{device}: "
            "somebody mixed them up or replays them"
        )
    if document.revision < seen:
        raise WishRefusedError(
            f"the desired document has revision {document.revision}, revision {seen} was seen already: an old one is replayed"
        )
    return VerifiedDesired(document, envelope)


def wishes_of(document: Desired) -> dict[str, Wish]:
    """The wish for each slot that names a model; a slot without one asks for nothing."""
    return {
        name: Wish(
            revision=document.revision,
            model=slot.model,
            application=slot.application,
            policy=document.policy,
            not_after=document.not_after,
            agent_min_version=document.agent_min_version,
        )
        for name, slot in document.slots.items()
        if slot.model is not None
    }


def keep_desired(path: Path, verified: VerifiedDesired, disk: Disk = REAL_DISK) -> None:
    """Keep the document as it came, so that an agent without a network knows its wish.

    Raises:
        OSError: the disk is full or broken; the revision must then not count as seen.
    """
    replace_content(disk, path, verified.envelope)


def load_desired(path: Path, director: PublicKey, *, fleet: str, device: str) -> VerifiedDesired | None:
    """The kept document, verified again; None where there is none.

    Raises:
        WishRefusedError: it was changed on the disk.
    """
    if not path.exists():
        return None
    try:
        data = read_bounded(path, 2 * MESSAGE_MAX_BYTES)
    except (OSError, ContractError) as error:
        raise WishRefusedError(f"the kept desired document can not be read: {error}") from error
    return verify_desired(data, director, fleet=fleet, device=device, seen=0)
