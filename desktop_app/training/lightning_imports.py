"""What training takes from Lightning and torchmetrics, imported without what nobody here asks of them.

On import torchmetrics draws in every optional package that it finds, for scores of texts, of sounds and
for plots: more than two seconds of processor time in front of every training. None of that is used here.
"""

import contextlib
import re
from collections.abc import Iterator

from lightning_utilities.core import imports

UNASKED = frozenset({"matplotlib", "scipy", "transformers"})
"""Packages that torchmetrics may not find; the rest of the program imports them as before."""


@contextlib.contextmanager
def _unasked_packages_hidden() -> Iterator[None]:
    """Meanwhile a module that asks by `lightning_utilities` whether one of `UNASKED` is installed hears no."""
    available, kept = imports.package_available, {name: getattr(imports, name) for name in ("package_available", "RequirementCache")}

    class Requirement(imports.RequirementCache):
        def __init__(self, requirement: str | None = None, module: str | None = None) -> None:
            super().__init__(requirement, module)
            if re.split(r"[^\w.-]", requirement or "")[0] in UNASKED:
                self.available, self.message = False, f"{requirement} is not looked for"

    vars(imports).update(package_available=lambda name: name not in UNASKED and available(name), RequirementCache=Requirement)
    try:
        yield
    finally:
        vars(imports).update(kept)


with _unasked_packages_hidden():
    from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Checkpoint
    from torchmetrics import MeanMetric
    from torchmetrics.classification import MulticlassAccuracy

__all__ = ["Checkpoint", "LightningModule", "MeanMetric", "MulticlassAccuracy", "TorchCheckpointIO", "Trainer"]
