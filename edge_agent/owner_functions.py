"""Functions of the device's owner, named in `config.json` as `module:function`; modules may lie in the agent's folder `hooks`."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOOKS_FOLDER = "hooks"


class OwnerFunctionError(Exception):
    """A function that `config.json` names can not be had."""


def find_function(name: str, data_folder: Path) -> Callable[..., Any]:
    """Import the function `module:function`.

    Raises:
        OwnerFunctionError: the name is none, or its module can not be imported or has no such function.
    """
    module_name, _, function_name = name.partition(":")
    hooks = str(data_folder / HOOKS_FOLDER)
    if hooks not in sys.path:
        sys.path.insert(0, hooks)
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except Exception as error:  # someone else's code may raise anything while it is imported
        raise OwnerFunctionError(f"{name!r} can not be imported (expected module:function): {type(error).__name__}: {error}") from error
    if not callable(function):
        raise OwnerFunctionError(f"{name!r} is no function")
    return function  # type: ignore[no-any-return]
