"""`eyelet-agent predict`: answers for files, offline, by the same engine as the endpoint."""

import contextlib
import errno
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from edge_agent.commands.options import errors_in_words, home_option, json_option, refuse_newer
from edge_agent.commands.printable import printable, printable_name

if TYPE_CHECKING:
    from contract.manifest import Manifest
    from contract.package import Package
    from contract.signing import PublicKey
    from edge_agent.engine.engine import Engine
    from edge_agent.sinks.batch_lines import Found
    from edge_agent.sources.batch import Batch

PLAIN_EVERY_S = 10.0


class Chosen(NamedTuple):
    """A package and the variant that answers."""

    package: "Package"
    variant: str


class Options(NamedTuple):
    """How a package is found and trusted."""

    home_folder: Path
    keys: tuple[Path, ...]
    variant: str
    unsigned: bool


class Target(NamedTuple):
    """Where the answers go."""

    output: Path | None
    resume: bool
    as_json: bool


@click.command()
@click.argument("package")
@click.argument("inputs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--variant", default="", help="Which variant answers; by default the installed one, or the first that runs here.")
@click.option(
    "--key", "keys", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Trust this *.pub.json too."
)
@click.option("--insecure-skip-signature", "unsigned", is_flag=True, help="Take a package without looking at who signed it.")
@click.option("--golden", is_flag=True, help="Check the golden samples instead: what this machine computes beside what the desk did.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write JSON lines here instead of to stdout.")
@click.option("--resume", is_flag=True, help="Go on with an --output that was interrupted; nothing is repeated or left out.")
@home_option
@json_option
def predict(  # noqa: PLR0917  (click hands every option over by name)
    package: str,
    inputs: tuple[Path, ...],
    variant: str,
    keys: tuple[Path, ...],
    unsigned: bool,
    golden: bool,
    output: Path | None,
    resume: bool,
    home_folder: Path,
    as_json: bool,
) -> None:
    """Answer for INPUTS with PACKAGE.

    PACKAGE is a folder, an *.eyelet file, or the name of a model that is installed here. INPUTS are
    images or WAV files and folders of them, or CSV and Parquet files for a model of rows. A package must be signed by a
    key of `eyelet-agent trust` or of --key. Inputs that can not be read are said and left out; the
    exit code is then 1.
    """
    if not inputs and not golden:
        raise click.UsageError("name at least one input, or --golden")
    if resume and output is None:
        raise click.UsageError("--resume goes on with a file: name it with --output")
    from contract.errors import ContractError
    from edge_agent.engine.errors import EngineError
    from edge_agent.home import HomeError
    from edge_agent.sources.source import SourceError
    from edge_agent.trust_store import TrustError

    options = Options(home_folder, keys, variant, unsigned)
    with errors_in_words(ContractError, EngineError, SourceError, HomeError, TrustError, OSError), _chosen(package, options) as chosen:
        failed = _check_golden(chosen, as_json) if golden else _predict_files(chosen, inputs, Target(output, resume, as_json))
    if failed:
        raise click.ClickException(failed)


@contextlib.contextmanager
def _chosen(package: str, options: Options) -> Iterator[Chosen]:
    """Find, check and choose; the package lives as long as the block."""
    from contract.names import is_id
    from contract.package import opened

    if not Path(package).exists() and is_id(package):
        yield _find_installed(package, options)
        return
    if options.unsigned:
        click.echo("the signature is not looked at: whoever made this package decides what it answers", err=True)
    trusted = None if options.unsigned else _trusted_keys(options)
    with opened(Path(package), trusted) as checked:
        refuse_newer(checked.manifest)
        yield Chosen(checked, options.variant or _first_that_runs(checked.manifest))


def _find_installed(name: str, options: Options) -> Chosen:
    """The current version of the slot that runs the model `name`, or of the slot `name`."""
    from contract.package import open_installed_version
    from edge_agent.home import find_home
    from edge_agent.update.slots import CURRENT, SlotStore

    home = find_home(options.home_folder)
    store = SlotStore(home)
    for folder in sorted(home.slots.iterdir()):
        installed = store.pointer(folder.name, CURRENT)
        if installed is not None and name in {installed.model.model, folder.name}:
            package = open_installed_version(store.version_folder(installed.model.digest), installed.model.digest)
            return Chosen(package, options.variant or installed.variant)
    raise click.ClickException(f"{name!r} is neither a path nor a model that is installed in {home.folder}")


def _trusted_keys(options: Options) -> "Mapping[str, PublicKey]":
    from contract.files import read_bounded
    from contract.signing import KEY_MAX_BYTES, public_key_from_bytes
    from edge_agent.home import Home
    from edge_agent.trust_store import TrustStore

    trusted = TrustStore(Home(options.home_folder.expanduser().absolute()).trust).keys()
    return {**trusted, **dict(public_key_from_bytes(read_bounded(path, KEY_MAX_BYTES)) for path in options.keys)}


def _first_that_runs(manifest: "Manifest") -> str:
    from edge_agent.engine.runtimes import absence_reason

    reasons = []
    for name, variant in sorted(
        manifest.variants.items(), key=lambda item: (item[1].precision != "float32", item[1].runtime != "onnx", item[0])
    ):
        reason = absence_reason(variant.runtime)
        if reason is None:
            return name
        reasons.append(f"{name}: {reason}")
    raise click.ClickException("no variant runs on this machine; " + "; ".join(reasons))


def _check_golden(chosen: Chosen, as_json: bool) -> str:
    """Print sample by sample, then the verdict; returns what failed."""
    import msgspec

    from edge_agent.engine.engine import open_engine
    from edge_agent.engine.golden import check_golden, load_golden

    manifest, name = chosen.package.manifest, chosen.variant
    samples = load_golden(chosen.package.path_of(manifest.golden), manifest)
    with open_engine(chosen.package, name) as engine:
        result = check_golden(engine, samples, name, manifest.variants[name])
        for index, sample in enumerate(samples if as_json else []):
            here = {key: value.tolist() for key, value in engine.run(sample.inputs).items()}
            desk = {key: value.tolist() for key, value in sample.outputs_by_variant[name].items()}
            click.echo(msgspec.json.encode({"golden": index, "here": here, "desk": desk, "difference": result.differences[index]}))
    verdict = {
        "variant": name,
        "samples": len(samples),
        "max_difference": result.max_difference,
        "tolerance": result.tolerance,
        "passed": result.passed,
    }
    text = f"{name}: {len(samples)} golden samples, largest difference {result.max_difference:.3g}, allowed {result.tolerance:.3g}"
    click.echo(msgspec.json.encode(verdict) if as_json else text)
    return "" if result.passed else "this machine does not compute what the desk computed"


def _predict_files(chosen: Chosen, inputs: tuple[Path, ...], target: Target) -> str:
    """Print or write one answer per sample; returns what failed."""
    from edge_agent.engine.engine import open_engine
    from edge_agent.sources.batch import plan_batch

    with open_engine(chosen.package, chosen.variant) as engine:
        batch = plan_batch(inputs, engine.spec)
        if batch.left_out:
            click.echo(f"left out in folders, as nothing for this model by their names: {batch.left_out} files", err=True)
        if target.output is None:
            return _unanswered(*_answer_all(engine, chosen, batch, lambda line: _print_line(line, target.as_json)))
        return _write_all(engine, chosen, batch, target.output, target.resume)


def _write_all(engine: "Engine", chosen: Chosen, batch: "Batch", output: Path, resume: bool) -> str:
    """Answer into a file; an interrupted one is gone on with where that is wished."""
    from edge_agent.sinks.batch_lines import BatchHead, is_complete, open_batch_lines, partial_of

    output = output.resolve()  # a link stays one
    shown, partial = (printable_name(str(path)) for path in (output, partial_of(output)))
    _check_output(output, shown, batch)
    if resume and is_complete(output):
        whole = _check_whole(output, shown, chosen, batch)
        click.echo(f"{shown} is whole already; leave --resume out to answer anew", err=True)
        return _unanswered(whole.failed, whole.lines, shown)
    if partial_of(output).exists() and not resume:
        click.echo(f"{partial}, which was interrupted, is begun anew (--resume would go on with it)", err=True)
    head = BatchHead(1, chosen.package.digest, chosen.variant, batch.fingerprint())
    with _interruption_in_words(shown, partial), open_batch_lines(output, head, resume=resume) as lines:
        found = lines.found
        if found.lines:
            if batch.name_at(found.lines - 1) != found.last_input:
                raise click.ClickException(f"{partial} does not fit these inputs; leave --resume out to begin anew")
            click.echo(f"going on after {found.lines} answers", err=True)
        failed, total = _answer_all(engine, chosen, batch, lambda line: lines.write(_encode(line)), found)
    return _unanswered(failed, total, shown)


def _unanswered(failed: int, total: int, shown: str = "") -> str:
    """What failed, and in which output the reasons are."""
    return f"{failed} of {total} samples got no answer{f'; {shown} says why' * bool(shown)}" if failed else ""


def _check_output(output: Path, shown: str, batch: "Batch") -> None:
    if output.exists() and not output.is_file():
        raise click.ClickException(f"{shown} is no file, and one would take its place; leave --output out to write to stdout")
    if output.exists() and any(output.samefile(path) for _, path in batch.files):
        raise click.ClickException(f"{shown} is one of the inputs, and the answers would take its place; choose another --output")


def _check_whole(output: Path, shown: str, chosen: Chosen, batch: "Batch") -> "Found":
    """What an output holds; refuses to take it for this batch's where it holds what another model answered, or to other inputs."""
    from edge_agent.sinks.batch_lines import find_lines

    whole = find_lines(output)
    if not whole.lines or batch.name_at(whole.lines - 1) != whole.last_input or batch.name_at(whole.lines) is not None:
        raise click.ClickException(f"{shown} holds the answers to other inputs; leave --resume out to answer anew")
    own = (chosen.package.manifest.name, str(chosen.package.manifest.version), chosen.variant)
    if whole.answered_by not in {None, own}:
        there, here = ("{} {} ({})".format(*answered) for answered in (whole.answered_by or own, own))
        raise click.ClickException(printable(f"{shown} holds the answers of {there}, this is {here}; leave --resume out to answer anew"))
    return whole


@contextlib.contextmanager
def _interruption_in_words(shown: str, partial: str) -> Iterator[None]:
    """Say why an output can not be written, and how to go on with one that was interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"the answers so far lie in {partial}; the same command with --resume goes on", err=True)
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:  # said for all commands
            raise
        raise click.ClickException(f"{shown} can not be written: {error.strerror or error}") from error


def _answer_all(engine: "Engine", chosen: Chosen, batch: "Batch", write: Any, found: "Found | None" = None) -> tuple[int, int]:  # noqa: ANN401  (a function of one line)
    """Answer what `found` does not hold yet; gives how many samples failed, and of how many."""
    from edge_agent.engine.answers import answer_of
    from edge_agent.engine.errors import InferenceError, InputError
    from edge_agent.sources.source import SourceDropped

    total, failed = (found.lines, found.failed) if found else (0, 0)
    with _progress(batch) as advance:
        for item, position in batch.items(total):
            advance(position)
            total += 1
            try:
                if isinstance(item, SourceDropped):
                    raise InputError(item.reason)  # noqa: TRY301  (one place where failures are told)
                write({"input": item.name, "answer": answer_of(engine.answer(item.sample), chosen.package.manifest, chosen.variant)})
            except (InputError, InferenceError) as error:
                failed += 1
                write({"input": item.name, "error": str(error)})
    return failed, total


@contextlib.contextmanager
def _progress(batch: "Batch") -> Iterator[Any]:
    """A bar on stderr where that is a terminal, else a line every ten seconds; gives a function that takes how many are done."""
    if not sys.stderr.isatty():
        yield _PlainProgress(batch).advance
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("predict", total=batch.total)
        yield lambda done: bar.update(task, completed=done)


class _PlainProgress:
    """Says how far it is, seldom."""

    def __init__(self, batch: "Batch") -> None:
        self._batch = batch
        self._next_s = time.monotonic() + PLAIN_EVERY_S

    def advance(self, done: int) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + PLAIN_EVERY_S
            click.echo(f"predict: {done} of {self._batch.total}", err=True)


def _encode(line: dict[str, Any]) -> bytes:
    import msgspec

    answer = line.get("answer")
    fields = {"input": line["input"], "error": line["error"]} if answer is None else {"input": line["input"], **msgspec.to_builtins(answer)}
    return msgspec.json.encode(fields)


def _print_line(line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(_encode(line))
    elif "error" in line:
        click.echo(f"{printable_name(line['input'])}: {printable(line['error'])}", err=True)
    else:
        answer = line["answer"]
        mark = "" if answer.accepted else "  (below its threshold)"
        click.echo(f"{printable_name(line['input'])}: {printable(answer.label)}  {answer.score:.1%}{mark}")
