"""What `systemd` wants to hear of a service, in its own datagrams; nothing where it does not listen."""

import os
import socket

PATIENCE_S = 1.0
"""A listener whose queue is full is waited for so long; it must not hold up the event loop, and for `WATCHDOG=1` not at all."""


def notify(text: str) -> bool:
    """Send `READY=1`, `WATCHDOG=1`, `STOPPING=1` or `STATUS=…`; False where no one listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or not hasattr(socket, "AF_UNIX"):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0.0 if text == "WATCHDOG=1" else PATIENCE_S)
        try:
            sender.sendto(text.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            return False
    return True


def watchdog_interval_s() -> float | None:
    """How often `WATCHDOG=1` is due, half of what `systemd` allows; None where it does not watch."""
    allowed = os.environ.get("WATCHDOG_USEC", "")
    return int(allowed) / 2e6 if allowed.isdigit() and int(allowed) > 0 else None


def journal_reads(descriptor: int) -> bool:
    """Whether what is written there goes straight into the journal (systemd.exec(5), `$JOURNAL_STREAM`)."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM", "") == f"{status.st_dev}:{status.st_ino}"
