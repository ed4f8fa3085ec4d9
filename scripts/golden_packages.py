"""Packages with which a platform is checked: what they answer on this machine is written into them as golden samples.

| package | variants | what it is for |
|---|---|---|
| `colours` | onnx-float32, litert-float32 | model files written without any converter |
| `table` | onnx-float32 | rows with text |
| `converted` | all that the converters make | int8 and float16; the resize before LiteRT as a host step |
"""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contract.signing import PrivateKey
    from converters.report import ConversionReport

KEY_FILE = "owner.pub.json"
PACKAGES = ("colours", "table", "converted")
COLOURS = ("onnx-float32", "litert-float32")


def make_golden_packages(folder: Path) -> None:
    """Write the packages and the public key that they are signed for into the new folder `folder`; takes about 20 s."""
    from contract.signing import generate_key, public_key_to_bytes
    from tests.simulators.packages import make_package
    from tests.simulators.tables import make_table_package

    folder.mkdir(parents=True)
    key = generate_key()
    make_package(folder / "colours", key=key, name="colours", variants=COLOURS)
    make_table_package(folder / "table", key=key, name="table")
    with tempfile.TemporaryDirectory() as scratch:
        report = _convert(Path(scratch))
        _pack(report, Path(scratch), folder / "converted", key)
    (folder / KEY_FILE).write_bytes(public_key_to_bytes(key.public, "owner"))


def _convert(folder: Path) -> "ConversionReport":
    """A network of two convolutions, trained for a second, as every target."""
    from converters.conversion import convert
    from converters.sources import TorchSource
    from converters.targets import TARGETS
    from tests.converters.conftest import SIDE, colour_spec, samples_of, train_tiny_network

    source = TorchSource(train_tiny_network(), colour_spec(), (SIDE, SIDE))
    return convert(source, targets=list(TARGETS), calibration=samples_of(48, 5).samples, evaluation=samples_of(120, 4), folder=folder)


def _pack(report: "ConversionReport", files: Path, folder: Path, key: "PrivateKey") -> None:
    """A package of the variants, with golden samples and tolerances as a release sets them."""
    import msgspec

    from contract.package import list_files, write_manifest
    from desktop_app.release import golden_samples
    from tests.converters.conftest import colour_spec, samples_of
    from tests.simulators.packages import make_package

    model = make_package(folder, key=key, name="converted", classes=len(report.labels)).manifest  # its documents stay
    for variant in model.variants.values():
        (folder / variant.file).unlink()
    for variant in report.variants.values():
        shutil.copyfile(files / variant.file, folder / variant.file)
    pool = samples_of(golden_samples.CANDIDATE_COUNT, 6)
    answers = golden_samples.answer_all(folder, report.variants, colour_spec(), pool.samples)
    candidates = golden_samples.Candidates(pool.samples, pool.labels or (), answers)
    golden = golden_samples.pick(candidates, golden_samples.choose_golden(candidates, report.reference))
    golden_samples.write_golden(folder / model.golden, golden)
    variants = {
        name: golden_samples.with_golden_tolerance(variant, name, report.reference, golden) for name, variant in report.variants.items()
    }
    listing = list_files(folder, [*(set(model.files) & {path.name for path in folder.iterdir()}), *(v.file for v in variants.values())])
    write_manifest(folder, msgspec.structs.replace(model, variants=variants, files=listing, golden_count=len(golden.samples)), key)
