"""`eyelet-convert`: a model file in floating point as quantized variants, with what each of them costs."""

import atexit
import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from converters.report import ConversionReport
    from converters.samples import Sample

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
ALL_TARGETS = {
    "onnx": ("onnx-float32", "onnx-float16", "onnx-int8", "onnx-int8-dynamic"),
    "tflite": ("litert-float32", "litert-float16", "litert-int8", "litert-int8-dynamic"),
}
RANGES = ("0..255", "0..1", "-1..1", "imagenet")
_EXISTING = click.Path(exists=True, path_type=Path)
_POINTS = 100


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    model: Path
    targets: tuple[str, ...]
    calibration: Path | None
    evaluation: Path | None
    labels: tuple[str, ...]
    input_range: str
    max_loss: float
    max_class_loss: float | None
    output: Path


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--targets", "-t", default="", metavar="A,B", help="onnx-int8, onnx-float16, litert-int8, …  [default: all that can be]")
@click.option("--calibration", "-c", type=_EXISTING, help="Folder of images, or .npz with one array (N, …) per input.")
@click.option("--evaluation", "-e", type=_EXISTING, help="The same with labels: one subfolder per class, or an array `labels`.")
@click.option("--labels", default="", metavar="A,B|FILE", help="Class names in the model's order.  [default: the evaluation's subfolders]")
@click.option("--input-range", type=click.Choice(RANGES), help="What the numbers of an image input in floating point mean.")
@click.option("--max-loss", default=1.0, show_default=True, type=click.FloatRange(0, 100), help="Points of accuracy that may be lost.")
@click.option("--max-class-loss", type=click.FloatRange(0, 100), help="Points of recall that any one class may lose.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder for the variants.  [default: MODEL-variants]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.version_option(package_name="eyelet-edge")
def command(model: Path, labels: str, output: Path | None, **options: Any) -> int:  # noqa: ANN401
    """Convert MODEL (.onnx or .tflite in floating point) and measure every variant through the engine that devices use.

    Without --evaluation only agreement and parity with the float32 model are measured. Exit code 1 if a
    variant that was asked for could not be made or fails the gate.
    """
    as_json = options.pop("as_json")
    targets = tuple(name.strip() for name in options.pop("targets").split(",") if name.strip())
    options["input_range"] = options["input_range"] or ""
    folder = output or model.with_name(f"{model.stem}-variants")
    request = Request(model=model, targets=targets, labels=parse_labels(labels), output=folder, **options)
    with _progress() as report:
        found = convert_file(request, report)
    _print(found, as_json=as_json)
    return EXIT_ERROR if _unsatisfied(found, targets) else 0


def parse_labels(text: str) -> tuple[str, ...]:
    """Labels from `a,b,c`, or from a file with one a line."""
    if text and Path(text).is_file():
        from contract.files import read_bounded

        lines = read_bounded(Path(text), 1 << 20).decode("utf-8").splitlines()
        return tuple(line.strip() for line in lines if line.strip())
    return tuple(part.strip() for part in text.split(",") if part.strip())


def convert_file(request: Request, report: Callable[[int, int, str], None]) -> "ConversionReport":
    """Read the samples and convert.

    Raises:
        ConversionError: model or samples are not usable, or no target is possible.
    """
    from converters.calibration import CALIBRATION_COUNT
    from converters.conversion import convert
    from converters.errors import SamplesError
    from converters.file_model import open_model
    from converters.gate import Gate
    from converters.sample_files import class_names, read_calibration, read_samples
    from converters.samples import EvaluationSet

    if request.calibration is None and request.evaluation is None:
        raise SamplesError(
            "neither calibration nor evaluation samples were given", "Give a folder of images or an .npz with --calibration."
        )
    named = request.labels or (class_names(request.evaluation) if request.evaluation else ())
    source = open_model(request.model, named)
    calibration: Sequence[Sample] = ()
    evaluation = EvaluationSet(())
    if request.calibration:
        calibration = read_calibration(request.calibration, source.spec, input_range=request.input_range, limit=CALIBRATION_COUNT)
    if request.evaluation:
        evaluation = read_samples(request.evaluation, source.spec, input_range=request.input_range)
    share = None if request.max_class_loss is None else request.max_class_loss / _POINTS
    return convert(
        source,
        targets=request.targets or ALL_TARGETS[source.format],
        calibration=calibration,
        evaluation=evaluation,
        folder=request.output,
        gate=Gate(request.max_loss / _POINTS, share),
        report=report,
    )


def _print(found: "ConversionReport", *, as_json: bool) -> None:
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    from converters.table import report_text

    click.echo(report_text(found))


def _unsatisfied(found: "ConversionReport", asked: tuple[str, ...]) -> bool:
    """Whether something that was asked for by name is missing, or any variant fails the gate."""
    return bool(set(asked) & set(found.refused)) or not all(result.passed for result in found.gates.values())


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """A bar at a terminal, a line per step elsewhere, on a copy of standard error (steps silence the real one)."""
    with os.fdopen(os.dup(2), "w") as stream:
        if not stream.isatty():
            yield lambda done, total, text: print(f"[{done + 1}/{total}] {text}", file=stream, flush=True)
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(file=stream), transient=True) as bar:
            task = bar.add_task("starting", total=None)
            yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)


def _say(error: Exception) -> int:
    if os.environ.get("EYELET_DEBUG"):
        import traceback

        traceback.print_exception(error)
    ours = type(error).__module__.split(".")[0] in {"contract", "converters", "edge_agent"}
    text = str(error) if ours else f"{type(error).__name__}: {error} (set EYELET_DEBUG=1 for the whole story)"
    click.echo(f"Error: {text}", err=True)
    if advice := getattr(error, "advice", ""):
        click.echo(advice, err=True)
    return EXIT_ERROR


def run(arguments: list[str]) -> int:
    """Run the command line; returns the exit code: 0 well, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        outcome = command.main(arguments, prog_name="eyelet-convert", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except Exception as error:  # noqa: BLE001  (the border of the program: a sentence, not a traceback)
        return _say(error)
    return outcome if isinstance(outcome, int) else 0


def main() -> None:
    """Entry point of `eyelet-convert`."""
    atexit.register(gc.freeze)  # what goes anyway is not looked through for garbage: a quarter of a short command's time
    sys.exit(run(sys.argv[1:]))
