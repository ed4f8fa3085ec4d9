"""The `Database` of sqlite-utils, imported without pandas.

Wherever pandas is installed sqlite-utils draws it in, for columns of its timestamps that no catalogue has:
a third of a second before every command. Who needs pandas imports it as before.
"""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def _pandas_hidden() -> Iterator[None]:
    """Meanwhile importing pandas fails, unless it was imported before."""
    hidden = "pandas" not in sys.modules
    if hidden:
        sys.modules["pandas"] = None  # type: ignore[assignment]  # the import system's own sign for "not to be found"
    try:
        yield
    finally:
        if hidden:
            del sys.modules["pandas"]


with _pandas_hidden():
    from sqlite_utils import Database

__all__ = ["Database"]
