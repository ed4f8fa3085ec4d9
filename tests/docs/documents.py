"""What a document promises: commands, options, settings, links; and the headings that links may point at."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.docs.console_blocks import ROOT

PROGRAMS = ("eyelet-studio", "eyelet-convert", "eyelet-fleet", "eyelet-agent")
COMMAND_DOCUMENTS = ("README.md", "docs/tutorial.md", "docs/faq.md", "docs/faq.zh.md", "docs/operators_guide.md", "docs/benchmarks.md")
LINK_DOCUMENTS = (*COMMAND_DOCUMENTS, "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/glossary.md")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_SHELL_END = {"&&", "||", "|", ";", "&", ">", "<", "2>&1"}


class Mention(NamedTuple):
    """A command that a document names: the program and what follows it."""

    document: str
    program: str
    words: tuple[str, ...]


def read_document(name: str) -> str:
    """A document's text by its path in the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def list_mentions(name: str) -> Iterator[Mention]:
    """Every Eyelet command in fenced blocks and between backquotes."""
    text = read_document(name)
    lines = [line for _, body in _FENCE.findall(text) for line in body.splitlines()]
    for line in [*lines, *_INLINE.findall(_FENCE.sub("", text))]:
        for start in re.finditer(r"(?<![\w./-])(eyelet-(?:studio|convert|fleet|agent))(?![\w.-])", line):
            words = split_command(line[start.end() :])
            yield Mention(name, start[1], words)


def split_command(text: str) -> tuple[str, ...]:
    """Words up to what belongs to the shell, or up to a comment."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        words = text.split()
    end = next((index for index, word in enumerate(words) if word.rstrip(";") in _SHELL_END or word.startswith(">")), len(words))
    return tuple(words[:end])


def list_headings(name: str) -> list[str]:
    """Headings outside fenced blocks."""
    return [heading.strip() for heading in _HEADING.findall(_FENCE.sub("", read_document(name)))]


def anchor_of(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", lambda found: found[1] or "", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def list_broken_links(name: str) -> list[str]:
    """Relative links that lead nowhere, anchors included."""
    broken = []
    for target in _LINK.findall(_FENCE.sub("", read_document(name))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / name).parent / path if path else ROOT / name
        if not found.exists() or (anchor and not _has_anchor(found, anchor)):
            broken.append(target)
    return broken


def _has_anchor(path: Path, anchor: str) -> bool:
    return anchor in {anchor_of(heading) for heading in list_headings(path.relative_to(ROOT).as_posix())} if path.suffix == ".md" else False
