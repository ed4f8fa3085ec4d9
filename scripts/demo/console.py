"""What the demonstration prints: one numbered line of plain words per step, bars while it works, tables of what was measured."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

STEPS = 10
_COUNT = re.compile(r"(\d+)\s*/\s*(\d+)")


class Console:
    """Prints to the terminal and keeps the plain words for the report."""

    def __init__(self) -> None:
        """Start the clock."""
        self.rich = RichConsole(highlight=False)
        if not self.rich.is_terminal:
            self.rich = RichConsole(highlight=False, width=120)
        self.started = time.monotonic()
        self.lines: list[tuple[int, str]] = []
        self.step_number = 0

    def step(self, number: int, title: str) -> None:
        """Begin a step."""
        self.step_number = number
        self.rich.print(f"\n[bold]{number}/{STEPS}  {title}[/bold]  [dim]{time.monotonic() - self.started:.0f} s[/dim]")

    def say(self, text: str) -> None:
        """One line of plain words about the present step."""
        self.lines.append((self.step_number, text))
        self.rich.print(f"   {text}", markup=False)

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True) -> None:
        """A table; with `numbers` all columns but the first are right-aligned."""
        table = Table(title=title, title_justify="left", title_style="dim")
        for index, name in enumerate(header):
            table.add_column(name, justify="right" if index and numbers else "left")
        for row in rows:
            table.add_row(*row)
        self.rich.print(table)

    @contextmanager
    def working(self, title: str) -> Iterator["Work"]:
        """A progress bar for as long as the block runs."""
        columns = (TextColumn("   {task.description}"), BarColumn(28), TextColumn("{task.fields[detail]}"), TimeElapsedColumn())
        with Progress(*columns, console=self.rich, transient=True) as progress:
            yield Work(progress, title)


class Work:
    """One bar; `line` understands the progress lines of the commands (`… 3/10 step`)."""

    def __init__(self, progress: Progress, title: str) -> None:
        """Begin without a known end."""
        self.progress = progress
        self.task = progress.add_task(title, total=None, detail="")

    def line(self, text: str) -> None:
        """Show what a command says of its progress."""
        found = _COUNT.search(text)
        if found and int(found[2]) > 0:
            self.progress.update(self.task, completed=int(found[1]), total=int(found[2]))
        self.progress.update(self.task, detail=text.strip()[:60].replace("[", "("))

    def of(self, done: float, total: float, detail: str = "") -> None:
        """Show a count or seconds."""
        self.progress.update(self.task, completed=done, total=total, detail=detail)
