"""The samples of a table project as rows: label, split, then the columns."""

from PySide6.QtCore import Signal

from desktop_app.data.catalogue import Sample
from desktop_app.ui import figures
from desktop_app.ui.grid.model import PAGE_SIZE, SampleModel
from desktop_app.ui.pages.inspector import split_name
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.tables import Cell, Column, Table

SHOWN_MAX = PAGE_SIZE


class _DataName(Text):
    """A column's name from the data, which no catalogue translates."""

    def __str__(self) -> str:
        """The name as it is."""
        return figures.one_line(self.key, 40)


class SampleTable(Table):
    """The first page of what the model shows."""

    chosen_samples = Signal(list)

    def __init__(self, model: SampleModel) -> None:
        super().__init__(Text("Rows"), (Column(Text("Class")), Column(Text("Split"))), self._choose)
        self._model = model
        self._names: tuple[str, ...] = ()
        self._features: tuple[str, ...] = ()
        model.loaded.connect(self._fill)

    def set_features(self, names: tuple[str, ...]) -> None:
        """The columns in the order of the first file, the target not among them."""
        if names != self._features:
            self._features = names
            self._fill(self._model.rowCount())

    def _fill(self, count: int) -> None:
        samples = [s for at in range(min(count, SHOWN_MAX)) if (s := self._model.sample(at)) is not None and s.row is not None]
        if not samples:
            self.set([])
            return
        names = self._features or tuple(samples[0].row or {})
        if names != self._names:
            self._names = names
            numeric = [isinstance((samples[0].row or {}).get(name), (int, float)) for name in names]
            self.rows.set([])
            self.set_columns(
                (
                    Column(Text("Class")),
                    Column(Text("Split")),
                    *(Column(_DataName(n), is_number=i) for n, i in zip(names, numeric, strict=True)),
                )
            )
        self.set([(str(sample.id), self._cells(sample)) for sample in samples])

    def _cells(self, sample: Sample) -> tuple[Cell, ...]:
        row = sample.row or {}
        values = tuple(Cell("–" if row.get(name) is None else str(row[name])) for name in self._names)
        return Cell(sample.label or "–"), Cell(split_name(sample.split)), *values

    def _choose(self, key: str) -> None:
        found = [
            s for at in range(min(self._model.rowCount(), SHOWN_MAX)) if (s := self._model.sample(at)) is not None and str(s.id) == key
        ]
        self.chosen_samples.emit(found)
