import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from converters.quiet import quiet


def test_what_is_printed_from_python_and_from_below_is_caught(capfd):
    print("before")
    with quiet() as caught:
        print("from python")
        print("an error", file=sys.stderr)
        os.write(1, b"from below\n")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        warnings.warn("not even an error here", stacklevel=1)
    print("after")
    out, err = capfd.readouterr()
    assert (out, err) == ("before\nafter\n", "")
    for words in ("from python", "an error", "from below", "from a child"):
        assert words in caught.text


def test_streams_come_back_after_an_error(capfd):
    with pytest.raises(ZeroDivisionError), quiet():
        raise ZeroDivisionError
    print("still here")
    assert capfd.readouterr().out == "still here\n"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")
def test_no_descriptor_is_lost():
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with quiet():
            print("x")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
