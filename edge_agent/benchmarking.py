"""Measure an installed version on this device because the fleet asks for its numbers; nothing is changed by it."""

from pathlib import Path
from typing import NamedTuple

from contract.acceptance import label_set_digest
from contract.errors import ContractError
from contract.package import Package, open_installed_version
from edge_agent.commands_received import Outcome
from edge_agent.heat import is_slowed_down
from edge_agent.tuning import Row, measure, processors, thread_counts, words
from edge_agent.update.tools import Tools
from edge_agent.worker.self_testing import SelfTestRequest

TIMEOUT_S = 120.0


class Subject(NamedTuple):
    """What is measured, or why it can not be."""

    package: Package | None
    variants: tuple[str, ...] = ()
    acceptance: Path | None = None
    trouble: str = ""


def find_subject(tools: Tools, digest: str) -> Subject:
    """The installed version of this digest, checked again; blocks."""
    folder = tools.store.version_folder(digest)
    if not folder.is_dir():
        return Subject(None, trouble=f"the version {digest[:16]}… is not installed on this device")
    try:
        package = open_installed_version(folder, digest)
    except (ContractError, OSError) as error:
        return Subject(None, trouble=f"the version can not be read: {error}")
    runtimes = tools.machinery.find_runtimes()
    variants = tuple(sorted(name for name, variant in package.manifest.variants.items() if variant.runtime in runtimes))
    acceptance = next(filter(Path.is_file, map(tools.store.object_path, tools.memory.acceptance_of(package.manifest.name))), None)
    return Subject(package, variants, acceptance, "" if variants else "no variant of the version runs on this device")


async def measure_subject(tools: Tools, subject: Subject, most_threads: int) -> Outcome:
    """Every variant with one and more threads, each in a limited child of its own."""
    package = subject.package
    if package is None or subject.trouble:
        return Outcome(ok=False, text=subject.trouble)
    manifest = package.manifest
    request = SelfTestRequest(
        package_folder=str(package.folder),
        digest=package.digest,
        variants=subject.variants,
        acceptance=str(subject.acceptance or ""),
        label_set_digest=label_set_digest(manifest.labels) if subject.acceptance else "",
        timeout_s=TIMEOUT_S,
    )
    counts = [count for count in thread_counts(processors()) if count <= most_threads]

    def slowed_down() -> bool:
        return is_slowed_down(tools.machinery.read_heat(), tools.settings.update_max_temperature_c)

    rows = await measure(request, counts, lambda _: None, tools.machinery.run_self_test, slowed_down)
    text = "; ".join(f"{row.result.variant}, {_threads(row)}: {words(row.result)}" for row in rows)
    data = {"model": manifest.name, "version": manifest.version, "rows": [_numbers(row) for row in rows]}
    return Outcome(any(row.result.reason is None for row in rows), f"{manifest.name} {manifest.version}: {text}", data)


def _threads(row: Row) -> str:
    return f"{row.threads} thread{'s' if row.threads > 1 else ''}"


def _numbers(row: Row) -> dict[str, object]:
    result = row.result
    return {
        "variant": result.variant,
        "threads": row.threads,
        "latency_p50_ms": result.latency_p50_ms,
        "latency_p95_ms": result.latency_p95_ms,
        "acceptance_score": result.acceptance_score,
        "throttled": row.throttled,
        "reason": result.reason.value if result.reason is not None else "",
    }
