"""Lets other users run this Python in a test that is root: where its folders are closed to them, a mount namespace opens them.

Development machines keep Python in the home folder of root, which nobody else may enter; a device does not.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_OPEN = """
set -e
i=0
for folder in $CLOSED; do
    keep="$KEEP/$i"; i=$((i + 1)); mkdir -p "$keep"
    mount --bind "$folder" "$keep"
    mount -t tmpfs -o mode=755 none "$folder"
    for place in $PLACES; do
        case "$place" in "$folder"/*)
            first="$folder/$(echo "${place#"$folder"/}" | cut -d/ -f1)"
            [ -e "$first" ] || { mkdir "$first"; mount --bind "$keep/${first##*/}" "$first"; };;
        esac
    done
done
exec "$@"
"""


def command_for_all(keep: Path) -> list[str]:
    """What to put before a command, so that its children may be any user; `keep` is an empty folder.

    Skips the test where this process is not root or may not mount.
    """
    if os.geteuid() != 0:
        pytest.skip("only root may start a process as another user")
    places = [Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib")), Path(__file__)]
    closed = sorted({parent for place in places for parent in place.parents if not parent.stat().st_mode & 0o001})
    if not closed:
        return []
    if not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip(f"{closed[0]} is closed to other users, and this system lets nobody make a mount namespace")
    values = {"CLOSED": closed, "PLACES": places, "KEEP": [keep]}
    environment = [f"{name}={' '.join(map(str, paths))}" for name, paths in values.items()]
    return ["env", *environment, "unshare", "--mount", "--propagation", "private", "sh", "-c", _OPEN, "sh"]


def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="eyelet-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
