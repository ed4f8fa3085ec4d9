"""The strip at the bottom: what runs, how far it is, cancel, and the log; always there, never modal."""

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QProgressBar, QVBoxLayout, QWidget

from desktop_app.jobs.events import Cancelled, Done, Failed
from desktop_app.ui import figures
from desktop_app.ui.job_runner import JobHandle, JobRunner
from desktop_app.ui.language import LANGUAGE, name_for_readers, say, show
from desktop_app.ui.tokens import SPACE_M, SPACE_XL
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import button
from desktop_app.ui.widgets.labels import label

UNITS = {
    "batch": Text("batches"),
    "sample": Text("samples"),
    "files": Text("files"),
    "rows": Text("rows"),
    "step": Text("steps"),
    "version": Text("versions"),
    "set": Text("sets"),
    "byte": Text("bytes"),
}
_TICK_MS = 500
_BAR_STEPS = 1000


class JobStrip(QWidget):
    """Shows the runner's current job, or how the last one ended."""

    def __init__(self, runner: JobRunner) -> None:
        super().__init__()
        self.setProperty("role", "strip")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._runner = runner
        self.title = label(Text("No job is running"))
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(240)
        name_for_readers(self.bar, Text("Progress of the job"))
        self.note = label("", "small")
        self.cancel = button(Text("Cancel"), "x", "quiet", self._cancel)
        self.log_button = button(Text("Log"), "list", "quiet", self._toggle_log)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setFixedHeight(170)
        say(self.log, Text("Log of the job"), "setAccessibleName")
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self.render_again)
        for signal in (runner.changed, runner.event_came, runner.ended, LANGUAGE.changed):
            signal.connect(self.render_again)
        self.render_again()

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.setSpacing(SPACE_M)
        for part in (self.title, self.bar, self.note):
            line.addWidget(part)
        line.addStretch(1)
        line.addWidget(self.cancel)
        line.addWidget(self.log_button)
        box = QVBoxLayout(self)
        box.setContentsMargins(SPACE_XL - 2, 4, SPACE_XL - 4, 4)
        box.setSpacing(4)
        box.addWidget(self.log)
        box.addLayout(line)
        self.log.hide()

    def render_again(self, *_: object) -> None:
        """Show the job as it is now."""
        current = self._runner.current
        self.bar.setVisible(current is not None)
        self.cancel.setVisible(current is not None)
        if current is not None:
            self._show_running(current)
            self._timer.start()
        else:
            self._timer.stop()
            self._show_ended(self._runner.last)
        if self.log.isVisible() and self.log.toPlainText() != self._runner.log():
            self.log.setPlainText(self._runner.log())
            self.log.verticalScrollBar().setValue(self.log.verticalScrollBar().maximum())

    def _show_running(self, handle: JobHandle) -> None:
        say(self.title, handle.title)
        progress = handle.progress
        if progress is None or progress.total <= 0:
            self.bar.setRange(0, 0)
            note = "" if progress is None else figures.count(progress.done)
        else:
            self.bar.setRange(0, _BAR_STEPS)
            self.bar.setValue(round(_BAR_STEPS * min(1.0, progress.done / progress.total)))
            note = self._pace(handle)
        if self._runner.waiting:
            note = str(Text("{note} · {count} waiting", note=note, count=len(self._runner.waiting)))
        show(self.note, note)

    def _pace(self, handle: JobHandle) -> str:
        progress = handle.progress
        if progress is None:
            return ""
        unit = UNITS.get(progress.unit, progress.unit)
        done = Text("{done} of {total} {unit}", done=figures.count(progress.done), total=figures.count(progress.total), unit=unit)
        left = handle.seconds_left
        if left is None or left < 1:
            return str(done).strip()
        return str(Text("{done} · {time} left", done=str(done).strip(), time=figures.duration(left)))

    def _show_ended(self, handle: JobHandle | None) -> None:
        if handle is None:
            say(self.title, Text("No job is running"))
            show(self.note, "")
            return
        say(self.title, handle.title)
        took = figures.duration(handle.seconds)
        if isinstance(handle.outcome, Done):
            say(self.note, Text("done in {time}", time=took))
        elif isinstance(handle.outcome, Cancelled):
            say(self.note, Text("cancelled after {time}; what was finished stays", time=took))
        elif isinstance(handle.outcome, Failed):
            say(self.note, Text("failed after {time}; see the log", time=took))

    def _cancel(self) -> None:
        self.cancel.setEnabled(False)
        self._runner.cancel()
        QTimer.singleShot(1000, self.cancel, lambda: self.cancel.setEnabled(True))

    def _toggle_log(self) -> None:
        self.log.setVisible(self.log.isHidden())
        self.render_again()
