"""Training imports Lightning without the packages that torchmetrics would draw in unasked."""

import sys

from lightning_utilities.core import imports

from desktop_app.training import lightning_imports


def drawn_in(name: str) -> list[str]:
    """The modules of torchmetrics that hold something of a package."""
    return [
        module
        for module, loaded in list(sys.modules.items())
        if module.startswith("torchmetrics.")
        for found in list(vars(loaded).values())
        if (getattr(found, "__module__", None) or getattr(found, "__name__", None) or "").split(".")[0] == name
    ]


def test_torchmetrics_holds_nothing_of_a_package_that_nobody_asked_for() -> None:
    assert not {name: drawn_in(name) for name in lightning_imports.UNASKED if drawn_in(name)}


def test_what_is_installed_is_found_again_afterwards() -> None:
    for name in lightning_imports.UNASKED:
        assert imports.package_available(name)
        assert imports.RequirementCache(name)
