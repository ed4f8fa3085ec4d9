"""The operator's wish to keep more samples for a while, on its way from the agent to the worker: one small file that both know.

It only adds to the application's capture policy; the device's own policy stays above both.
"""

import logging
from pathlib import Path

import msgspec

from contract.codec import encode, parse_time, utc_now
from contract.errors import ContractError
from contract.files import read_bounded, write_atomic

WISHES_FILE = "capture_wishes.json"
FILE_MAX_BYTES = 64 * 1024
LOOK_AGAIN_S = 1.0
ASKED = "asked"
"""Why such a sample was kept."""

log = logging.getLogger(__name__)


class CaptureWish(msgspec.Struct, frozen=True):
    """Keep a share of all samples from `begun` to `until`; a clock that stands outside them keeps nothing."""

    begun: str
    until: str
    share: float

    def holds_at(self, now: str) -> bool:
        """Whether it holds at this time."""
        return parse_time(self.begun) <= parse_time(now) < parse_time(self.until)


def save_wish(folder: Path, slot: str, wish: CaptureWish) -> None:
    """Put a wish in the place of the slot's last one; those that are over are dropped.

    Raises:
        OSError: the disk is full or broken.
    """
    now = parse_time(utc_now())
    kept = {name: known for name, known in _load(folder / WISHES_FILE).items() if parse_time(known.until) > now}
    write_atomic(folder / WISHES_FILE, encode({**kept, slot: wish}) + b"\n")  # the worker may be another user, who reads it


class WishWatch:
    """What the worker sees of a slot's wish: looks at the file once a second at most, and reads it where it has changed."""

    def __init__(self, folder: Path, slot: str) -> None:
        self._path, self._slot = folder / WISHES_FILE, slot
        self._looked_s = -LOOK_AGAIN_S
        self._seen = 0
        self._wish: CaptureWish | None = None
        self._share = 0.0

    def share(self, now_s: float) -> float:
        """The share of samples to keep at `now_s` on the monotonic clock; 0 where there is no wish."""
        if now_s - self._looked_s >= LOOK_AGAIN_S:
            self._looked_s = now_s
            self._look()
        return self._share

    def _look(self) -> None:
        try:
            changed = self._path.stat().st_mtime_ns
        except OSError:
            self._seen, self._share, self._wish = 0, 0.0, None
            return
        if changed != self._seen:
            self._seen, self._wish = changed, _load(self._path).get(self._slot)
        self._share = self._wish.share if self._wish is not None and self._wish.holds_at(utc_now()) else 0.0


def _load(path: Path) -> dict[str, CaptureWish]:
    """The wishes by slot; none where the file is missing or damaged."""
    try:
        wishes = msgspec.json.decode(read_bounded(path, FILE_MAX_BYTES), type=dict[str, CaptureWish])
        for wish in wishes.values():
            wish.holds_at(utc_now())
    except FileNotFoundError:
        return {}
    except (OSError, ContractError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        log.warning("%s can not be read and is taken as absent: %s", path.name, error)
        return {}
    return wishes
