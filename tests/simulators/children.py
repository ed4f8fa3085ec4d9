"""Which child processes of a kind are running."""

import contextlib

import psutil


def children_of(parent: int, module: str) -> list[int]:
    """Process ids of the children that run this module; one that ends meanwhile is left out."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(parent).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if module in child.cmdline():
                    found.append(child.pid)
    return found
