import ast
import string
from pathlib import Path

import desktop_app.ui
from desktop_app.ui.translations.chinese import CHINESE
from desktop_app.ui.translations.text import SPEECH, Text, counted

FOLDER = Path(desktop_app.ui.__file__).parent


def said_in_the_code() -> set[str]:
    """The first argument of every `Text("…")`."""
    found = set()
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_text = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Text"
            if is_text and node.args and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    return found


def places(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_no_sentence_lacks_chinese():
    missing = said_in_the_code() - set(CHINESE)
    assert not missing, missing


def test_the_catalogue_has_no_sentence_that_nobody_says():
    assert not set(CHINESE) - said_in_the_code()


def test_a_translation_has_the_same_named_places():
    wrong = {key: value for key, value in CHINESE.items() if places(key) != places(value)}
    assert not wrong


def test_the_chinese_of_a_sentence_is_chinese():
    names_only = {"F1", "p50", "p95"}
    plain = {
        key
        for key, value in CHINESE.items()
        if not any("\u4e00" <= letter <= "\u9fff" for letter in value) and places(key) == set() and key not in names_only and "|" not in key
    }
    assert not plain


def test_a_value_may_itself_be_a_text(monkeypatch):
    text = Text("{note} · {count} waiting", note=Text("Log"), count=2)
    assert str(text) == "Log · 2 waiting"
    monkeypatch.setattr(SPEECH, "code", "zh")
    assert str(text) == "日志 · 2 个等待中"


def test_braces_in_data_are_no_places():
    assert str(Text("Import of {name}", name="{evil}")) == "Import of {evil}"


def test_one_is_singular():
    assert counted(1, Text("1 class"), Text("{n} classes", n=1)) == Text("1 class")
    assert str(counted(3, Text("1 class"), Text("{n} classes", n=3))) == "3 classes"


def test_a_lack_is_noted_and_english_is_shown(monkeypatch):
    monkeypatch.setattr(SPEECH, "code", "zh")
    monkeypatch.setattr(SPEECH, "missing", set())
    assert str(Text("nobody" + " translates this")) == "nobody translates this"
    assert SPEECH.missing == {"nobody translates this"}
