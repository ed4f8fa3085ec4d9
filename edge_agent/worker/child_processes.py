"""How the agent starts its own children: the command, the environment, and what ties a child to its parent.

The user under which a child runs is decided in `edge_agent.worker.child_identity` (`ChildIdentity`, `spawn_options`, `confine`).
"""

import atexit
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Mapping

CHILD_MODULES: Mapping[str, str] = {
    "worker": "edge_agent.worker.main",
    "capture": "edge_agent.frames.capture",
    "self-test": "edge_agent.worker.self_test",
    "shadow": "edge_agent.worker.shadow",
    "page": "edge_agent.serving.without_model",
}
"""Children by name; each module has a `main()`. A frozen program runs them as `eyelet-agent child NAME`."""

_PR_SET_PDEATHSIG = 1


def child_command(name: str) -> list[str]:
    """Command line of a child."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "child", name]
    return [sys.executable, "-m", CHILD_MODULES[name]]


def child_environment() -> dict[str, str]:
    """The parent's environment, with native libraries held to one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def end_with_parent() -> None:
    """Let the kernel end this process when its parent dies, even by SIGKILL (Linux; elsewhere the closed stdin does)."""
    atexit.register(gc.freeze)  # and where it ends by itself, what goes anyway is not looked through for garbage
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it died before the call
        os.kill(os.getpid(), signal.SIGKILL)


def claim_stdout() -> int:
    """Keep the original stdout for the protocol and send everything that libraries print to stderr.

    Returns the descriptor of the original stdout.
    """
    sys.stdout.flush()
    channel = os.dup(1)
    os.dup2(2, 1)
    return channel
