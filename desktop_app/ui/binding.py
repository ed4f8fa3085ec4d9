"""Keeps a fault of the Qt binding from ending the program.

PySide6 6.12.0 is built for a Python whose None, True and False are immortal (3.12 and later). On Python 3.11 each
Qt method without a result gives away one reference to None that it does not own; after some thousand calls Python
aborts with "deallocating None". Where that is found, the constants are given more references than any session uses up.
"""

import ctypes
import logging
import sys

IMMORTAL_SINCE = (3, 12)
SPARE_REFERENCES = 1 << 40
PROBES = 64

_log = logging.getLogger(__name__)


def loses_references() -> bool:
    """Whether a Qt method without a result costs a reference to None (other threads may add or drop a few)."""
    from PySide6.QtCore import QObject

    probe = QObject()
    before = sys.getrefcount(None)
    for _ in range(PROBES):
        probe.setObjectName("probe")
    return before - sys.getrefcount(None) > PROBES // 2


def keep_constants_alive() -> None:
    """Make the constants last, where the binding would use them up; does nothing anywhere else."""
    if sys.version_info >= IMMORTAL_SINCE or sys.implementation.name != "cpython":
        return
    if sys.getrefcount(None) >= SPARE_REFERENCES or not loses_references():
        return
    _log.warning("this PySide6 loses references to None; install PySide6-Essentials 6.11.3, or use Python 3.12")
    for constant in (None, True, False, NotImplemented, Ellipsis):
        ctypes.c_ssize_t.from_address(id(constant)).value += 2 * SPARE_REFERENCES
