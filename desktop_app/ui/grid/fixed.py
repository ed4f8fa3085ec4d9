"""A handful of samples as a list model, for pictures beside a chart."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, Qt

from desktop_app.data.catalogue import Sample
from desktop_app.ui.grid.model import SAMPLE_ROLE, Index


class FixedSamples(QAbstractListModel):
    """Samples that were read before."""

    def __init__(self) -> None:
        super().__init__()
        self.samples: tuple[Sample, ...] = ()

    def set(self, samples: Sequence[Sample]) -> None:
        """Show other samples."""
        if tuple(samples) != self.samples:
            self.beginResetModel()
            self.samples = tuple(samples)
            self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        """How many."""
        return 0 if parent is not None and parent.isValid() else len(self.samples)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: ANN401  (Qt's own type)
        """The sample, or what a screen reader says of it."""
        if not index.isValid():
            return None
        sample = self.samples[index.row()]
        if role == SAMPLE_ROLE:
            return sample
        is_text = role in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole}
        return f"{sample.label or '–'} · {sample.predicted or '–'} · {sample.name}" if is_text else None
