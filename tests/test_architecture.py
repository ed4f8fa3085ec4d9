"""The dependency rule as a table: who may import whom, and where the heavy libraries may appear."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ("contract", "converters", "desktop_app", "edge_agent", "fleet_server")

MAY_IMPORT = {
    "contract": {"contract"},
    "edge_agent": {"edge_agent", "contract"},
    "fleet_server": {"fleet_server", "contract"},
    "converters": {"converters", "contract", "edge_agent"},
    "desktop_app": {"desktop_app", "converters", "contract", "edge_agent"},
}
QT = {"PySide6", "pyqtgraph", "qtawesome", "superqt"}
HEAVY = {"torch", "lightning", "torchmetrics", "sklearn", "skl2onnx", "onnxmltools", "litert_torch", "ai_edge_quantizer", "torchao"}
HEAVY_PLACES = ("desktop_app/training", "desktop_app/tasks", "desktop_app/evaluation", "desktop_app/data/quality", "converters")
SERVER_ONLY = {"litestar", "sqlalchemy", "alembic", "uvicorn", "aiomqtt", "mqtt5"}
FORBIDDEN_NAMES = {"utils", "common", "helpers", "core", "base", "manager", "misc", "util", "helper"}
SUPERVISOR_FREE_OF = {"numpy", "onnxruntime", "ai_edge_litert", "PIL"}
ENGINE_PLACES = (
    "edge_agent/engine",
    "edge_agent/worker",
    "edge_agent/serving",
    "edge_agent/sources",
    "edge_agent/sinks",
    "edge_agent/frames/frame_source",  # the worker's end; process and keeper are the supervisor's
    "edge_agent/frames/shelf",  # the capture process's
    "edge_agent/capture/field_samples",  # the worker's side; store and choice are the supervisor's too
    "edge_agent/capture/sample_encoding",
)


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@functools.cache
def imports(path: Path) -> tuple[tuple[str, int, bool], ...]:
    """Full dotted name, line, and whether it is imported when the module is."""
    return tuple(_find_imports(path))


def _find_imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, id(node) not in inner) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; say the whole name"
            yield node.module, node.lineno, id(node) not in inner


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_imports_only_what_the_table_allows(program: str) -> None:
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for path in modules(program)
        for name, line, _ in imports(path)
        if name.split(".")[0] in PROGRAMS and name.split(".")[0] not in MAY_IMPORT[program]
    ]
    assert not wrong, "\n".join(wrong)


def test_converters_and_studio_use_the_engine_and_nothing_else_of_the_agent() -> None:
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for program in ("converters", "desktop_app")
        for path in modules(program)
        for name, line, _ in imports(path)
        if name.split(".")[0] == "edge_agent" and not name.startswith("edge_agent.engine")
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_window_imports_qt() -> None:
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for program in PROGRAMS
        for path in modules(program)
        if not relative(path).startswith("desktop_app/ui/")
        for name, line, _ in imports(path)
        if name.split(".")[0] in QT
    ]
    assert not wrong, "\n".join(wrong)


def test_torch_and_scikit_learn_stay_where_training_and_conversion_happen() -> None:
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for program in PROGRAMS
        for path in modules(program)
        if not relative(path).startswith(HEAVY_PLACES)
        for name, line, _ in imports(path)
        if name.split(".")[0] in HEAVY
    ]
    assert not wrong, "\n".join(wrong)


def test_the_window_loads_no_training_library() -> None:
    code = (
        "import sys, pkgutil, importlib, desktop_app.ui as ui\n"
        "for m in pkgutil.walk_packages(ui.__path__, 'desktop_app.ui.'): importlib.import_module(m.name)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**_environment(), "QT_QPA_PLATFORM": "offscreen"}
    )
    assert answer.stdout.strip() == "[]", answer.stdout + answer.stderr


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def test_the_supervisor_of_the_agent_is_free_of_numpy() -> None:
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for path in modules("edge_agent")
        if not relative(path).startswith(ENGINE_PLACES)
        for name, line, at_once in imports(path)
        if at_once and name.split(".")[0] in SUPERVISOR_FREE_OF
    ]
    assert not wrong, "\n".join(wrong)


def test_agent_contract_and_studio_know_nothing_of_the_servers_libraries() -> None:
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for program in ("contract", "edge_agent", "converters", "desktop_app")
        for path in modules(program)
        for name, line, _ in imports(path)
        if name.split(".")[0] in SERVER_ONLY
    ]
    assert not wrong, "\n".join(wrong)


def test_every_module_has_a_home_with_a_name() -> None:
    wrong = [relative(path) for program in PROGRAMS for path in modules(program) if FORBIDDEN_NAMES & {path.stem, path.parent.name}]
    assert not wrong, "\n".join(wrong)


def test_no_module_bears_the_name_of_a_dependency() -> None:
    dependencies = (
        QT | HEAVY | SERVER_ONLY | {"onnx", "onnxruntime", "numpy", "pandas", "msgspec", "tuf", "psutil", "click", "rich", "httpx"}
    )
    wrong = [relative(path) for program in PROGRAMS for path in modules(program) if path.stem in dependencies]
    assert not wrong, "\n".join(wrong)


def test_no_module_is_longer_than_six_hundred_lines() -> None:
    wrong = [relative(path) for program in PROGRAMS for path in modules(program) if path.read_text(encoding="utf-8").count("\n") > 600]
    assert not wrong, "\n".join(wrong)


def test_packaging_is_no_package() -> None:
    assert not (ROOT / "packaging" / "__init__.py").exists(), "it would shadow PyPI's packaging"


@pytest.mark.parametrize("command", ["desktop_app.cli", "converters.cli", "fleet_server.cli", "edge_agent.cli"])
def test_help_comes_at_once_and_imports_nothing_heavy(command: str) -> None:
    code = (
        "import atexit, gc\n"
        "atexit.register(lambda: print('LEFT ALONE', gc.get_freeze_count() > 0))\n"  # what is registered first runs last
        f"import sys, {command} as cli\n"
        "sys.argv = ['program', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('LOADED', sorted({{'torch', 'numpy', 'PySide6', 'onnxruntime', 'sklearn', 'litestar'}} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "LOADED []" in answer.stdout, answer.stdout + answer.stderr
    assert "Usage" in answer.stdout
    assert "LEFT ALONE True" in answer.stdout, "the end looks for garbage among what goes anyway"


HELP_OF_EACH = """
import runpy, sys
script, *names = sys.argv[1:]
wrong = []
for name in names:
    sys.argv = [script, name, "--help"]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if not end.code:
            continue
    wrong.append(name)
print(f"WRONG {wrong}; {len(names)} asked")
"""
"""Runs a console script once for each name, in one process."""


def test_every_name_in_help_leads_to_a_command() -> None:
    for program in ("eyelet-studio", "eyelet-fleet", "eyelet-agent"):
        executable = Path(sys.executable).parent / program
        text = subprocess.run([executable, "--help"], capture_output=True, text=True, check=True).stdout
        names = [
            line.split()[0]
            for line in text.split("Commands:")[-1].splitlines()
            if line.startswith("  ") and line.strip() and not line.startswith("   ")
        ]
        assert names, text
        answer = subprocess.run([sys.executable, "-c", HELP_OF_EACH, executable, *names], capture_output=True, text=True, check=False)
        assert answer.stdout.splitlines()[-1] == f"WRONG []; {len(names)} asked", f"{program}: {answer.stdout[-3000:]} {answer.stderr}"
