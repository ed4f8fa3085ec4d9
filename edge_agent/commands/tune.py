"""`eyelet-agent tune`: measure the variants and thread counts on this device and keep the best."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from contract.acceptance import label_set_digest
from contract.codec import DOCUMENT_MAX_BYTES, decode, encode
from contract.errors import ContractError
from contract.files import read_bounded
from contract.messages import DEFAULT_SLOT
from contract.package import Package, open_installed_version, opened
from edge_agent.commands.options import errors_in_words, home_option, json_option, refuse_newer
from edge_agent.engine.accelerators import placed_names, present_accelerators
from edge_agent.hardware import installed_runtimes
from edge_agent.heat import is_slowed_down, read_heat
from edge_agent.home import Home, HomeError, find_home
from edge_agent.memory import Memory
from edge_agent.ownership import become_agents_user
from edge_agent.trust_store import TrustError, TrustStore
from edge_agent.tuning import Choice, Demands, Row, Verdict, build_choice, choose, measure, processors, save_choice, thread_counts
from edge_agent.update.slots import CURRENT, SlotStore
from edge_agent.worker.self_testing import SelfTestRequest

TIMEOUT_S = 120.0


class Subject(NamedTuple):
    """What is tuned: the version, the samples that show whether it is any good, and what its application allows."""

    package: Package
    acceptance: Path | None = None
    minimum_score: float = 0.0  # of the signed acceptance set; 0 where none is known
    deadline_ms: float = 0.0


@click.command()
@click.argument("package", required=False, type=click.Path(exists=True, path_type=Path))
@home_option
@click.option("--slot", default=DEFAULT_SLOT, show_default=True, help="Whose installed version, where no PACKAGE is named.")
@click.option("--budget-ms", type=click.FloatRange(min=0), default=None, help="Latency (95th percentile) that must be met.")
@click.option("--minimum-score", type=click.FloatRange(0, 1), default=None, help="Share of acceptance samples to answer rightly.")
@click.option("--threads", "most_threads", type=click.IntRange(1, 8), default=None, help="Try no more threads than this.")
@json_option
def tune(  # noqa: PLR0917  (click hands every option over by name)
    package: Path | None,
    home_folder: Path,
    slot: str,
    budget_ms: float | None,
    minimum_score: float | None,
    most_threads: int | None,
    as_json: bool,
) -> None:
    """Measure every variant with one and more threads on this device, and keep the best for the next start.

    Without PACKAGE the installed version is measured, with its acceptance set where the fleet gave
    one. The fastest variant counts that computes what the desk computed, reaches the minimum score of
    the signed acceptance set (--minimum-score may only raise it) and stays within the budget (by
    default the deadline of its application). More threads are taken only where they gain 30 %. Stop
    what else is busy: a running agent serves on meanwhile.
    """
    with errors_in_words(ContractError, TrustError, HomeError, OSError), _subject(package, home_folder, slot) as subject:
        least = max(subject.minimum_score, minimum_score or 0.0)
        demands = Demands(subject.deadline_ms if budget_ms is None else budget_ms, least)
        counts = [count for count in thread_counts(processors()) if most_threads is None or count <= most_threads]
        rows = asyncio.run(measure(_request(subject), counts, lambda text: click.echo(text, err=True), is_slowed_down=_is_slowed_down))
        demands = _with_minimum(demands, rows, minimum_score)
        if any(row.throttled for row in rows):
            click.echo("this device was slowed down (too hot, or too little voltage): measure again when it is not", err=True)
        verdict = choose(rows, demands)
        choice = build_choice(rows, verdict.best, demands) if verdict.best is not None else None
        kept = choice is not None and _keep(home_folder, subject.package.digest, choice)
    _show(rows, verdict, choice, as_json=as_json)
    if choice is None:
        raise click.ClickException("no variant meets what is asked; nothing was changed")
    click.echo(f"{choice.variant} with {choice.threads} thread(s) is {'kept for the next start' if kept else 'the best here'}", err=True)


@contextlib.contextmanager
def _subject(package: Path | None, home_folder: Path, slot: str) -> Iterator[Subject]:
    home = Home(home_folder.expanduser().absolute())
    become_agents_user(home)
    if package is not None:
        with opened(package, TrustStore(home.trust).keys()) as checked:
            refuse_newer(checked.manifest)
            yield Subject(checked)
        return
    home = find_home(home_folder)
    store = SlotStore(home)
    installed = store.pointer(slot, CURRENT)
    if installed is None:
        raise HomeError(f"the slot {slot} has no version to tune; install one, or name a package")
    version = open_installed_version(store.version_folder(installed.model.digest), installed.model.digest)
    application = installed.application
    deadline_ms = _deadline_of(store.object_path(application.digest)) if application is not None else 0.0
    yield Subject(version, *_acceptance_of(home, installed.model.model), deadline_ms)


def _deadline_of(path: Path) -> float:
    from contract.application import Application

    return decode(read_bounded(path, DOCUMENT_MAX_BYTES), Application, "the application").deadline_ms


def _acceptance_of(home: Home, model: str) -> tuple[Path | None, float]:
    """The acceptance set's samples and what the owner demands of them."""
    memory = Memory(home.state / "memory.json")
    found = [home.objects / digest for digest in memory.acceptance_of(model) if (home.objects / digest).is_file()]
    minimum_score = memory.minimum_score_of(model)
    if minimum_score and not found:
        raise HomeError(
            f"the acceptance set of {model} is not on this disk any more, so nothing shows which variant meets it; update first"
        )
    return (found[0] if found else None), minimum_score


def _is_slowed_down() -> bool:
    return is_slowed_down(read_heat(), 0.0)


def _request(subject: Subject) -> SelfTestRequest:
    manifest, runtimes = subject.package.manifest, installed_runtimes()
    variants = sorted(name for name, variant in manifest.variants.items() if variant.runtime in runtimes)
    if not variants:
        needed = ", ".join(sorted({variant.runtime for variant in manifest.variants.values()}))
        raise HomeError(f"no variant of {manifest.name} runs here: it needs {needed}, installed is {', '.join(runtimes) or 'no runtime'}")
    return SelfTestRequest(
        package_folder=str(subject.package.folder),
        digest=subject.package.digest,
        variants=placed_names({name: manifest.variants[name].runtime for name in variants}, present_accelerators()),
        acceptance=str(subject.acceptance or ""),
        label_set_digest=label_set_digest(manifest.labels) if subject.acceptance else "",
        timeout_s=TIMEOUT_S,
    )


def _with_minimum(demands: Demands, rows: list[Row], stated: float | None) -> Demands:
    """Where nobody states a minimum, the owner neither: no variant may be worse than the best by more than two points."""
    scores = [row.result.acceptance_score for row in rows if row.result.reason is None and row.result.acceptance_score is not None]
    if stated is not None or demands.minimum_score or not scores:
        return demands
    return demands._replace(minimum_score=max(0.0, round(max(scores) - 0.02, 6)))


def _keep(home_folder: Path, digest: str, choice: Choice) -> bool:
    home = Home(home_folder.expanduser().absolute())
    if not (home.versions / digest).is_dir():
        return False
    save_choice(home, digest, choice)
    return True


def _show(rows: list[Row], verdict: Verdict, choice: Choice | None, *, as_json: bool) -> None:
    if as_json:
        refused = [{"variant": name, "threads": threads, "reason": why} for (name, threads), why in verdict.refusals.items()]
        click.echo(encode({"choice": choice, "rows": rows, "refused": refused}).decode())
        return
    click.echo(f"{'variant':<22} {'threads':>7} {'p50 ms':>9} {'p95 ms':>9} {'difference':>11} {'right':>7}")
    for row in rows:
        click.echo(_line(row, verdict))


def _line(row: Row, verdict: Verdict) -> str:
    result = row.result
    right = f"{result.acceptance_score:.1%}" if result.acceptance_score is not None else ""
    numbers = f"{result.latency_p50_ms:>9.3f} {result.latency_p95_ms:>9.3f} {result.max_difference:>11.2g} {right:>7}"
    mark = "  kept" if row is verdict.best else ""
    why = verdict.refusals.get((result.variant, row.threads), "")
    return f"{result.variant:<22} {row.threads:>7} {numbers if result.max_difference >= 0 else ''}{mark}{f'  {why}' if why else ''}"
