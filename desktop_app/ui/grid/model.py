"""The samples that match a query as a list model: it knows how many there are and loads pages as they are looked at."""

from typing import Any

import msgspec
from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, Signal

from desktop_app.data.catalogue import Sample, SampleQuery, count_samples, list_samples
from desktop_app.ui.workspace import Workspace

PAGE_SIZE = 200
PAGES_MAX = 40
SAMPLE_ROLE = Qt.ItemDataRole.UserRole + 1
Index = QModelIndex | QPersistentModelIndex


class SampleModel(QAbstractListModel):
    """Rows are samples; `None` stands for one whose page is on its way."""

    loaded = Signal(int)  # how many match

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._query = SampleQuery(order="mixed")
        self._count = 0
        self._pages: dict[int, list[Sample]] = {}
        self._asked: set[int] = set()

    @property
    def query(self) -> SampleQuery:
        """What is shown."""
        return self._query

    def show(self, query: SampleQuery) -> None:
        """Show the samples that match `query`, as they are now."""
        self._query = query
        self._workspace.ask(
            self,
            "count",
            lambda project: (count_samples(project, query), list_samples(project, query=query, limit=PAGE_SIZE)),
            self._restart,
        )

    def refresh(self) -> None:
        """Read again what is shown."""
        self.show(self._query)

    def empty(self) -> None:
        """Show nothing."""
        self._restart((0, []))

    def _restart(self, found: tuple[int, list[Sample]]) -> None:
        count, first = found
        same = count == self._count
        if not same:
            self.beginResetModel()
        self._count, self._pages, self._asked = count, {0: first}, {0}
        if same and count:
            self.dataChanged.emit(self.index(0), self.index(count - 1))
        elif not same:
            self.endResetModel()
        self.loaded.emit(count)

    def patch(self, row: int, **fields: object) -> None:
        """Show a sample with some fields replaced, until the next reading."""
        page, at = divmod(row, PAGE_SIZE)
        samples = self._pages.get(page, [])
        if at < len(samples):
            samples[at] = msgspec.structs.replace(samples[at], **fields)
            self.dataChanged.emit(self.index(row), self.index(row))

    def rowCount(self, parent: Index | None = None) -> int:
        """How many samples match."""
        return 0 if parent is not None and parent.isValid() else self._count

    def sample(self, row: int) -> Sample | None:
        """The sample in `row`; None while its page is on its way (it is asked for)."""
        page, at = divmod(row, PAGE_SIZE)
        if page in self._pages:
            return self._pages[page][at] if at < len(self._pages[page]) else None
        self._ask(page)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: ANN401  (Qt's own type)
        """The sample, or what a screen reader says of it."""
        if not index.isValid():
            return None
        sample = self.sample(index.row())
        if role == SAMPLE_ROLE:
            return sample
        if sample is not None and role in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole}:
            return f"{sample.label or '–'} · {sample.name}"
        return None

    def _ask(self, page: int) -> None:
        if page in self._asked or not 0 <= page * PAGE_SIZE < self._count:
            return
        self._asked.add(page)
        query = self._query
        self._workspace.ask(
            self,
            f"page-{page}",
            lambda project: list_samples(project, query=query, offset=page * PAGE_SIZE, limit=PAGE_SIZE),
            lambda samples: self._take(query, page, samples),
        )

    def _take(self, query: SampleQuery, page: int, samples: list[Sample]) -> None:
        if query != self._query:
            return
        self._pages[page] = samples
        if len(self._pages) > PAGES_MAX:
            farthest = max(self._pages, key=lambda other: abs(other - page))
            self._pages.pop(farthest)
            self._asked.discard(farthest)
        first = page * PAGE_SIZE
        self.dataChanged.emit(self.index(first), self.index(min(first + PAGE_SIZE, self._count) - 1))
