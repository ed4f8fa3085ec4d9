"""Install the agent by its extra alone on each Python this machine has, and prove that it runs there.

For each of 3.10 to 3.13: a fresh environment, `pip install .[agent]`, no torch, Qt or scikit-learn in
it, every module of the agent can be imported (each child process is one), `eyelet-agent --help`, and a
signed package whose golden samples `eyelet-agent predict` answers.
With --tests the contract's and the agent's tests run there instead.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
FORBIDDEN = ("torch", "PySide6", "sklearn", "lightning", "litestar", "sqlalchemy")
IMPORT_ALL = """
import importlib, pkgutil, contract, edge_agent
for package in (contract, edge_agent):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def find_python(version: str) -> str | None:
    """The interpreter of a version: on the PATH, or among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [f"python{version}", *(str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True))]
    for candidate in candidates:
        try:
            answer = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if answer.returncode == 0 and answer.stdout.startswith(f"Python {version}."):
            return candidate
    return None


def make_environment(python: str, version: str, *, tests: bool) -> Path:
    """A virtual environment with the agent's extra, installed from this tree as a user would."""
    folder = ROOT / f".venv-agent-{version}"
    binary = folder / "bin" / "python"
    if not binary.exists():
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
    pip = [str(binary), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)  # a module that was removed or renamed would be installed from there
    subprocess.run([*pip, "-c", "constraints/agent.txt", "--force-reinstall", "--no-deps", "."], check=True, cwd=ROOT)
    subprocess.run([*pip, "-c", "constraints/agent.txt", ".[agent]"], check=True, cwd=ROOT)
    if tests:
        subprocess.run([*pip, "-c", "constraints/agent.txt", "-r", "constraints/agent_tests.txt"], check=True, cwd=ROOT)
    return binary


def tests_command(binary: Path, jobs: int) -> list[str]:
    """The command line of the contract's and the agent's tests, in so many processes; without those that the first Python shows for all."""
    return [str(binary), "-m", "pytest", "-n", str(jobs), "-m", "not once", "tests/contract", "tests/edge_agent"]


def run_tests(binary: Path) -> bool:
    """The contract's and the agent's tests."""
    return subprocess.run(tests_command(binary, 3), check=False, cwd=ROOT).returncode == 0


def check_install(binary: Path, package: Path, key: Path) -> str:
    """Empty when all holds, else what does not."""
    probe = f"import importlib.util as u; print([n for n in {FORBIDDEN!r} if u.find_spec(n)])"
    found = subprocess.run([str(binary), "-c", probe], capture_output=True, text=True, check=True).stdout.strip()
    if found != "[]":
        return f"the extra drew {found}"
    with tempfile.TemporaryDirectory() as elsewhere:
        imported = subprocess.run([str(binary), "-c", IMPORT_ALL], capture_output=True, text=True, check=False, cwd=elsewhere)
        if imported.returncode:
            return f"a module can not be imported: {imported.stderr.strip()[-300:]}"
        agent = str(binary.parent / "eyelet-agent")
        if subprocess.run([agent, "--help"], capture_output=True, check=False, cwd=elsewhere).returncode:
            return "eyelet-agent --help fails"
        answer = subprocess.run(
            [agent, "predict", str(package), "--key", str(key), "--golden", "--json"],
            capture_output=True,
            text=True,
            check=False,
            cwd=elsewhere,
        )
    if answer.returncode:
        return f"predict failed: {answer.stderr.strip()[-300:]}"
    return "" if '"passed": false' not in answer.stdout.lower().replace(":false", ": false") else "golden samples differ"


def make_sample_package(folder: Path) -> tuple[Path, Path]:
    """A small signed package and its public key."""
    sys.path.insert(0, str(ROOT))
    from contract.signing import generate_key, public_key_to_bytes
    from tests.simulators.packages import make_package

    folder.mkdir(parents=True, exist_ok=True)
    key = generate_key()
    (folder / "key.pub.json").write_bytes(public_key_to_bytes(key.public, "owner"))
    return make_package(folder / "package", key=key).folder, folder / "key.pub.json"


def main() -> int:
    """One line per Python; not zero when one of those found fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one version, e.g. 3.10")
    parser.add_argument("--tests", action="store_true", help="run the tests there")
    arguments = parser.parse_args()
    results: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for version in [arguments.only] if arguments.only else VERSIONS:
            python = find_python(version)
            if python is None:
                print(f"Python {version}: not on this machine, nothing was shown for it")
                continue
            try:
                binary = make_environment(python, version, tests=arguments.tests)
            except subprocess.CalledProcessError as error:
                results[version] = f"the environment could not be made: {error}"
                print(f"Python {version}: {results[version]}", flush=True)
                continue
            if arguments.tests:
                results[version] = "" if run_tests(binary) else "tests failed"
            else:
                results[version] = check_install(binary, *make_sample_package(Path(folder) / version.replace(".", "")))
            print(f"Python {version}: {results[version] or 'ok'}", flush=True)
    print(json.dumps(results))
    return 1 if any(results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
