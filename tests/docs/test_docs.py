"""What the documents say is there is there: commands, options, settings, links, folders, words."""

import importlib
import itertools
import re

import click
import pytest

from contract.messages import Telemetry, UpdatePolicy
from contract.rest import GateSpec
from contract.states import ComparisonVerdict, FailureReason
from fleet_server.rollouts.gates import GATES
from tests.docs.console_blocks import ROOT, read_commands, replace_outputs
from tests.docs.documents import (
    COMMAND_DOCUMENTS,
    LINK_DOCUMENTS,
    PROGRAMS,
    Mention,
    anchor_of,
    list_broken_links,
    list_headings,
    list_mentions,
    read_document,
    split_command,
)

ENTRIES = {
    "eyelet-studio": "desktop_app.cli:main",
    "eyelet-convert": "converters.cli:main",
    "eyelet-fleet": "fleet_server.cli:main",
    "eyelet-agent": "edge_agent.cli:main",
}
SETTINGS = {"--gate": GateSpec, "--policy": UpdatePolicy, "--telemetry": Telemetry}
FORBIDDEN_WORDS = ("record", "instance", "example", "deployment", "campaign", "stage", "status", "experiment")
NEEDED_DOCUMENTS = ("README.md", "docs/tutorial.md", "docs/faq.md", "docs/faq.zh.md", "docs/operators_guide.md", "docs/benchmarks.md")


def find_fault(mention: Mention) -> str:
    """What is wrong with a mentioned command, empty where nothing is."""
    command, words = open_program(mention.program), list(mention.words)
    context = click.Context(command, info_name=mention.program)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0).rstrip(".,:")
        following = command.get_command(context, name)
        if following is None:
            return "" if "|" in name or not name[:1].isascii() or name in {"…", "xxx"} else f"{context.command_path} knows no {name!r}"
        command, context = following, click.Context(following, info_name=name, parent=context)
    options = {option for parameter in command.get_params(context) for option in (*parameter.opts, *parameter.secondary_opts)}
    named = [word.partition("=")[0].rstrip(".,:") for word in words if re.match(r"-[a-z]$|--[a-z]", word)]
    unknown = [option for option in named if option not in options]
    return f"{context.command_path} has no {', '.join(unknown)}" if unknown else find_wrong_setting(words)


def find_wrong_setting(words: list[str]) -> str:
    """A NAME=VALUE after --gate, --policy or --telemetry that no struct knows."""
    for option, setting in itertools.pairwise(words):
        name = setting.partition("=")[0]
        if option in SETTINGS and name != "NAME" and name not in SETTINGS[option].__struct_fields__:
            return f"{option} knows no {name}"
    return ""


def open_program(program: str) -> click.Command:
    """The click command behind a console script, as pyproject names it."""
    module, _, attribute = ENTRIES[program].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, click.Command):
        return found
    commands = [value for value in vars(importlib.import_module(module)).values() if isinstance(value, click.Command)]
    return max(commands, key=lambda command: isinstance(command, click.Group))


def test_the_entries_are_those_of_the_project() -> None:
    text = read_document("pyproject.toml")
    assert all(f'{program} = "{entry}"' in text for program, entry in ENTRIES.items())
    assert set(ENTRIES) == set(PROGRAMS)


@pytest.mark.parametrize("name", COMMAND_DOCUMENTS)
def test_every_command_and_option_that_a_document_names_exists(name: str) -> None:
    mentions = list(list_mentions(name))
    faults = {" ".join((mention.program, *mention.words)): fault for mention in mentions if (fault := find_fault(mention))}
    assert not faults
    assert mentions


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("deploy", "x"), "eyelet-fleet knows no 'deploy'"),
        (("rollout", "create", "m", "1", "--speed", "3"), "eyelet-fleet rollout create has no --speed"),
        (("rollout", "create", "m", "1", "--gate", "max_failure=1"), "--gate knows no max_failure"),
        (("rollout", "create", "m", "1", "--gate", "max_failures=1"), ""),
    ],
)
def test_a_command_that_is_not_there_would_be_found(words: tuple[str, ...], fault: str) -> None:
    assert find_fault(Mention("x", "eyelet-fleet", words)) == fault


@pytest.mark.parametrize("name", LINK_DOCUMENTS)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    assert list_broken_links(name) == []


def test_decisions_are_all_listed() -> None:
    listed = read_document("docs/decisions/README.md")
    pages = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert pages
    assert [page for page in pages if f"({page})" not in listed] == []


def test_readme_leads_to_every_document() -> None:
    links = read_document("README.md")
    assert [name for name in NEEDED_DOCUMENTS[1:] if f"({name})" not in links] == []


def test_the_dependency_table_names_the_real_folders() -> None:
    table = re.findall(r"^\| `(\w+)` \|", read_document("docs/architecture.md"), re.MULTILINE)
    packages = [path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in {"tests", "scripts", "benchmarks"}]
    assert sorted(table) == sorted(packages)


@pytest.mark.parametrize("name", LINK_DOCUMENTS)
def test_no_heading_uses_a_word_that_the_glossary_replaces(name: str) -> None:
    words = {word for heading in list_headings(name) for word in re.findall(r"[a-z]+", heading.lower())}
    assert words.isdisjoint(word for forbidden in FORBIDDEN_WORDS for word in (forbidden, f"{forbidden}s"))


def test_the_glossary_defines_each_word_once_and_never_one_that_it_replaces() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]* \| ([^|]*) \|$", read_document("docs/glossary.md"), re.MULTILINE)[1:]
    words = [word.strip() for cell, _ in rows for word in cell.split(",")]
    assert len(words) == len(set(words))
    assert set(words).isdisjoint({"record", "instance", "deployment", "campaign", "stage", "status"})


def test_the_operators_guide_knows_every_gate_verdict_reason_and_setting() -> None:
    text = read_document("docs/operators_guide.md")
    told_elsewhere = {FailureReason.SUPERSEDED, FailureReason.INTERNAL}
    words = [gate.__name__ for gate in GATES] + [verdict.value for verdict in ComparisonVerdict]
    words += [reason.value for reason in FailureReason if reason not in told_elsewhere]
    words += [name for kind in SETTINGS.values() for name in kind.__struct_fields__]
    assert [word for word in words if f"`{word}`" not in text and f"`--policy {word}" not in text] == []


def test_both_faqs_answer_the_same_questions_in_the_same_order() -> None:
    english, chinese = (read_document(name) for name in ("docs/faq.md", "docs/faq.zh.md"))
    assert [len(mark) for mark in re.findall(r"^(#+) ", strip_fences(english), re.MULTILINE)] == [
        len(mark) for mark in re.findall(r"^(#+) ", strip_fences(chinese), re.MULTILINE)
    ]
    assert commands_of("docs/faq.md") == commands_of("docs/faq.zh.md")


def strip_fences(text: str) -> str:
    """Without fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def commands_of(name: str) -> list[str]:
    """Program and verb of every command in order of the document."""
    return [
        " ".join((mention.program, *(word for word in mention.words if word.startswith("--") or (word.isalpha() and word.islower()))))
        for mention in list_mentions(name)
    ]


def test_every_benchmark_that_can_be_run_is_in_the_document() -> None:
    text = read_document("docs/benchmarks.md")
    scripts = [path.name for path in (ROOT / "benchmarks").glob("*.py") if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]
    assert scripts
    assert [script for script in scripts if f"python benchmarks/{script}" not in text] == []


def test_console_blocks_are_read_and_refilled() -> None:
    text = "a\n```console\n$ one &&\n> two\nold\n$ three\n```\nb\n"
    assert read_commands(text) == ["one &&\ntwo", "three"]
    assert replace_outputs(text, ["x\ny", ""]) == "a\n```console\n$ one &&\n> two\nx\ny\n$ three\n```\nb\n"


def test_commands_end_where_the_shell_begins() -> None:
    assert split_command(" serve --data server > log 2>&1 &") == ("serve", "--data", "server")
    assert split_command(" rollout pause r7 --reason 'why so'") == ("rollout", "pause", "r7", "--reason", "why so")


def test_anchors_are_those_of_the_web_page() -> None:
    assert anchor_of("3. Convert, and see what that costs") == "3-convert-and-see-what-that-costs"
    assert anchor_of("服务器被盗或硬盘损坏怎么办？") == "服务器被盗或硬盘损坏怎么办"
