"""A card with a chart and its table twin: switch, copy, CSV, PNG, SVG."""

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QSize, Signal
from PySide6.QtGui import QGuiApplication, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QMenu, QStackedWidget, QWidget

from desktop_app.ui.language import show
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import icon_button
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.tables import Table


class ChartCard(Card):
    """A chart whose numbers can also be read, copied and taken along."""

    export_wanted = Signal(str, bytes)  # suffix, content

    def __init__(self, title: Text, chart: QWidget, twin: Table) -> None:
        super().__init__(title)
        self.chart, self.twin = chart, twin
        self._stack = QStackedWidget()
        self._stack.addWidget(chart)
        self._stack.addWidget(twin)
        self._switch = icon_button(Text("Show as table"), "table", self.switch)
        self._more = icon_button(Text("Copy or save"), "export", self._open_menu)
        self.head.addWidget(self._switch)
        self.head.addWidget(self._more)
        self.add(self._stack, 1)

    @property
    def is_table(self) -> bool:
        """Whether the table twin is shown."""
        return self._stack.currentWidget() is self.twin

    def switch(self) -> None:
        """Show the other twin."""
        self._stack.setCurrentWidget(self.chart if self.is_table else self.twin)
        name = Text("Show as chart") if self.is_table else Text("Show as table")
        for setter in ("setToolTip", "setAccessibleName"):
            show(self._switch, name, setter)

    def _open_menu(self) -> None:
        menu = QMenu(self)
        menu.addAction(str(Text("Copy the table")), self.copy)
        menu.addAction(str(Text("Save as CSV…")), lambda: self.export_wanted.emit("csv", self.as_csv()))
        menu.addAction(str(Text("Save as PNG…")), lambda: self.export_wanted.emit("png", self.as_png()))
        menu.addAction(str(Text("Save as SVG…")), lambda: self.export_wanted.emit("svg", self.as_svg()))
        menu.exec(self._more.mapToGlobal(self._more.rect().bottomLeft()))

    def copy(self) -> None:
        """Put the table on the clipboard."""
        QGuiApplication.clipboard().setText(self.twin.rows.as_lines())

    def as_csv(self) -> bytes:
        """The table with commas."""
        return (self.twin.rows.as_lines(",") + "\n").encode()

    def as_png(self) -> bytes:
        """The chart as pixels."""
        data = QByteArray()
        buffer = QBuffer(data)
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        self.chart.grab().save(buffer, "PNG")
        buffer.close()
        return bytes(data.data())

    def as_svg(self) -> bytes:
        """The chart as lines and text."""
        data = QByteArray()
        buffer = QBuffer(data)
        generator = QSvgGenerator()
        generator.setOutputDevice(buffer)
        generator.setSize(QSize(self.chart.width(), self.chart.height()))
        generator.setViewBox(self.chart.rect())
        painter = QPainter(generator)
        self.chart.render(painter, self.chart.rect().topLeft())
        painter.end()
        return bytes(data.data())
