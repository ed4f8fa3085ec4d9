"""Tables: rows of plain cells, numbers right-aligned with their header, states as pills."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QKeyEvent, QKeySequence, QPainter
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView

from desktop_app.ui.figures import one_line
from desktop_app.ui.language import LANGUAGE, say
from desktop_app.ui.theme import THEME
from desktop_app.ui.tokens import TYPE_SMALL
from desktop_app.ui.translations.text import Text

ROW_HEIGHT = 34
HEADER_HEIGHT = 34
Index = QModelIndex | QPersistentModelIndex
_TONE_ROLE = Qt.ItemDataRole.UserRole + 1


@dataclass(frozen=True)
class Cell:
    """What one cell shows; with a `tone` it is a pill; `tip` says where the value comes from."""

    text: Text | str
    tone: str = ""
    tip: Text | str = ""


@dataclass(frozen=True)
class Column:
    """A column: numbers are right-aligned; `stretch` takes the room that is left."""

    name: Text
    is_number: bool = False
    stretch: bool = False


class RowsModel(QAbstractTableModel):
    """Rows of cells, with a key per row."""

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self.rows: list[tuple[str, tuple[Cell, ...]]] = []
        LANGUAGE.changed.connect(self._say_again)

    def set(self, rows: Sequence[tuple[str, Sequence[Cell]]]) -> None:
        """Show `rows`: (key, cells)."""
        fresh = [(key, tuple(cells)) for key, cells in rows]
        if [key for key, _ in fresh] == [key for key, _ in self.rows]:
            self.rows = fresh
            if fresh:
                self.dataChanged.emit(self.index(0, 0), self.index(len(fresh) - 1, len(self.columns) - 1))
            return
        self.beginResetModel()
        self.rows = fresh
        self.endResetModel()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns, without rows."""
        self.beginResetModel()
        self.columns, self.rows = tuple(columns), []
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        """How many rows."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index | None = None) -> int:
        """How many columns."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: ANN401  (Qt's own type)
        """Text, alignment, tone and tooltip of a cell."""
        if not index.isValid():
            return None
        cell = self.rows[index.row()][1][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(str(cell.text))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if self.columns[index.column()].is_number else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ToolTipRole:
            return str(cell.tip) or None
        return cell.tone if role == _TONE_ROLE else None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: ANN401
        """Names of the columns, aligned like their cells."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return str(self.columns[section].name)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if self.columns[section].is_number else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignBottom)
        return None

    def as_lines(self, separator: str = "\t") -> str:
        """Header and rows as text, a line each."""
        header = [str(column.name) for column in self.columns]
        lines = [header, *([one_line(str(cell.text)) for cell in cells] for _, cells in self.rows)]
        return "\n".join(separator.join(cell.replace(separator, " ") for cell in line) for line in lines)

    def _say_again(self) -> None:
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, len(self.columns) - 1))
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(self.columns) - 1)


class CellDelegate(QStyledItemDelegate):
    """Draws cells with room around them, and pills."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one cell."""
        theme = THEME.current
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect: QRect = option.rect
        state: QStyle.StateFlag = option.state
        if state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(theme.accent_ground))
        tone = index.data(_TONE_ROLE)
        if tone:
            self._pill(painter, rect, str(index.data() or ""), str(tone))
        else:
            self._text(painter, option, index)
        painter.restore()

    def _text(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        rect: QRect = option.rect.adjusted(8, 0, -8, 0)
        painter.setPen(QColor(THEME.current.text))
        shown = painter.fontMetrics().elidedText(str(index.data() or ""), Qt.TextElideMode.ElideRight, rect.width())
        painter.drawText(rect, int(index.data(Qt.ItemDataRole.TextAlignmentRole)), shown)

    def _pill(self, painter: QPainter, rect: QRect, text: str, tone: str) -> None:
        ink, ground = THEME.current.tone(tone)
        font = QFont(painter.font())
        font.setPixelSize(TYPE_SMALL)
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        width = min(painter.fontMetrics().horizontalAdvance(text) + 22, rect.width() - 12)
        pill = QRectF(rect.x() + 6, rect.center().y() - 9, width, 20)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(ground))
        painter.drawRoundedRect(pill, 10, 10)
        painter.setPen(QColor(ink))
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(width) - 12)
        painter.drawText(pill, int(Qt.AlignmentFlag.AlignCenter), shown)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Wide enough for its text."""
        width = option.fontMetrics.horizontalAdvance(str(index.data() or ""))
        return QSize(width + (34 if index.data(_TONE_ROLE) else 20), ROW_HEIGHT)


def height_of(rows: int) -> int:
    """Height of a table that shows `rows` rows, one at least, without scrolling."""
    return max(1, rows) * ROW_HEIGHT + HEADER_HEIGHT


class Table(QTableView):
    """A quiet table; `keys` of the chosen rows, Ctrl+C copies them all."""

    def __init__(self, name: Text, columns: Sequence[Column], on_choose: Callable[[str], object] | None = None) -> None:
        super().__init__()
        say(self, name, "setAccessibleName")
        self.rows = RowsModel(columns)
        self.setModel(self.rows)
        self.setItemDelegate(CellDelegate(self))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self._lay_out_header(columns)
        self._on_choose = on_choose
        self._is_filling = False
        self.selectionModel().selectionChanged.connect(self._tell)

    def _lay_out_header(self, columns: Sequence[Column]) -> None:
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionsClickable(False)
        header.setMinimumSectionSize(48)
        for at, column in enumerate(columns):
            mode = QHeaderView.ResizeMode.Stretch if column.stretch else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(at, mode)

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns, without rows."""
        self.rows.set_columns(columns)
        self._lay_out_header(columns)

    def set(self, rows: Sequence[tuple[str, Sequence[Cell]]], chosen: str = "") -> None:
        """Show rows and keep (or set) what is chosen, without telling."""
        wanted = chosen or self.chosen()
        self._is_filling = True
        self.rows.set(rows)
        keys = [key for key, _ in self.rows.rows]
        if wanted in keys:
            self.selectRow(keys.index(wanted))
        else:
            self.clearSelection()
        self._is_filling = False

    def chosen(self) -> str:
        """Key of the chosen row, or the empty string."""
        chosen = self.selectionModel().selectedRows()
        return self.rows.rows[chosen[0].row()][0] if chosen and chosen[0].row() < len(self.rows.rows) else ""

    def fit_height(self, at_most: int = 12) -> None:
        """Be as tall as the rows need, up to `at_most` rows."""
        self.setFixedHeight(height_of(min(len(self.rows.rows), at_most)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Ctrl+C copies the table, so that it can be pasted into a sheet."""
        if event.matches(QKeySequence.StandardKey.Copy):
            QGuiApplication.clipboard().setText(self.rows.as_lines())
        else:
            super().keyPressEvent(event)

    def _tell(self) -> None:
        if not self._is_filling and self._on_choose is not None and self.chosen():
            self._on_choose(self.chosen())
