"""How large patches between two trainings of a network are, in each format, as a share of the whole file.

A small CNN is trained, then trained on in several ways; each result is exported to ONNX (float32) and
quantized (static int8), as `converters` does it. Both formats of `contract.patching` stand beside what
was not chosen: bsdiff4 (where it is installed) and 32-bit differences in byte planes ("tensor").
Every patch of ours is applied again and compared. Run: `python benchmarks/delta_sizes.py`
"""

import contextlib
import copy
import importlib.util
import io
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.report import print_rows, say_machine
from contract.deltas import PATCH_SHARE, PatchKind
from contract.patching import Job, apply_patch, make_patch

torch.set_num_threads(1)
PIXELS, CLASSES, BATCH = 24, 10, 64
INPUT = "x"


class Training(NamedTuple):
    """How the first network is trained on; `head` changes the last layer alone, `anew` begins with other weights."""

    optimizer: str
    rate: float
    steps: int
    head: bool = False
    anew: bool = False


TRAININGS: Mapping[str, Training] = {
    "last layer alone": Training("Adam", 1e-3, 64, head=True),
    "SGD 1e-3": Training("SGD", 1e-3, 64),
    "Adam 1e-5": Training("Adam", 1e-5, 64),
    "Adam 1e-4": Training("Adam", 1e-4, 64),
    "Adam 1e-3": Training("Adam", 1e-3, 64),
    "trained anew": Training("Adam", 1e-3, 96, anew=True),
}


def make_network() -> torch.nn.Sequential:
    """About 0.4 million weights, all of which have something to do."""

    def block(inner: int, outer: int) -> list[torch.nn.Module]:
        return [torch.nn.Conv2d(inner, outer, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]

    body = [*block(3, 32), *block(32, 64), *block(64, 128), torch.nn.Flatten(), torch.nn.Linear(128 * 9, 256), torch.nn.ReLU()]
    return torch.nn.Sequential(*body, torch.nn.Linear(256, CLASSES))


def make_samples(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy copies of one picture per class."""
    chance = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, CLASSES, (count,), generator=chance)
    pictures = torch.randn(CLASSES, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(7))
    return pictures[classes] + 1.5 * torch.randn(count, 3, PIXELS, PIXELS, generator=chance), classes


def train(network: torch.nn.Sequential, how: Training, seed: int) -> None:
    """Some steps of training."""
    weights = network[-1].parameters() if how.head else network.parameters()
    optimizer = getattr(torch.optim, how.optimizer)(weights, lr=how.rate)
    samples, classes = make_samples(1024, seed)
    for step in range(how.steps):
        batch = torch.arange(step * BATCH, (step + 1) * BATCH) % len(samples)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(samples[batch]), classes[batch]).backward()
        optimizer.step()


def export(network: torch.nn.Sequential, folder: Path) -> dict[str, bytes]:
    """The network as float32 and as int8."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Calibration(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._samples: Iterator[dict[str, Any]] = ({INPUT: sample[None].numpy()} for sample in make_samples(32, 3)[0])

        def get_next(self) -> dict[str, Any] | None:
            return next(self._samples, None)

    plain, quantized = folder / "float32.onnx", folder / "int8.onnx"
    example = (torch.zeros(1, 3, PIXELS, PIXELS),)
    options: dict[str, Any] = {"dynamo": True, "opset_version": 20, "external_data": False, "input_names": [INPUT]}
    with contextlib.redirect_stdout(io.StringIO()):  # the exporter tells its steps
        torch.onnx.export(network.eval(), example, str(plain), **options)
    options = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
    quantize_static(str(plain), str(quantized), Calibration(), quant_format=QuantFormat.QDQ, **options)
    return {"float32": plain.read_bytes(), "int8": quantized.read_bytes()}


def tensor_patch(base: bytes, target: bytes) -> bytes:
    """32-bit differences, zig-zag, in planes of bytes; the best of the four ways to lie on 32-bit borders."""
    import zstandard

    sizes = []
    for phase in range(4):
        length = (min(len(base), len(target)) - phase) // 4 * 4
        old, new = (np.frombuffer(data, np.int32, length // 4, phase) for data in (base, target))
        with np.errstate(over="ignore"):
            moved = new - old
            folded = ((moved << 1) ^ (moved >> 31)).view(np.uint8).reshape(-1, 4).T
        rest = target[:phase] + target[phase + length :]
        sizes.append(zstandard.ZstdCompressor(level=19).compress(folded.tobytes() + rest))
    return min(sizes, key=len)


def proven(kind: PatchKind, base: bytes, target: bytes) -> bytes:
    """A patch that was applied again."""
    patch = make_patch(kind, base, target)
    with tempfile.TemporaryDirectory() as name:
        folder, pieces = Path(name), []
        (folder / "base").write_bytes(base)
        (folder / "patch").write_bytes(patch)
        apply_patch(Job(kind, folder / "base" if base else None, folder / "patch", len(target)), pieces.append)
    if b"".join(pieces) != target:
        raise RuntimeError("the patch leads elsewhere")
    return patch


def formats() -> dict[str, Callable[[bytes, bytes], bytes]]:
    """By what the table calls them."""
    found: dict[str, Callable[[bytes, bytes], bytes]] = {
        "whole, zstd": lambda _, target: proven(PatchKind.ZSTD, b"", target),
        "zstd patch": lambda base, target: proven(PatchKind.ZSTD, base, target),
        "difference": lambda base, target: proven(PatchKind.DIFFERENCE, base, target),
        "(tensor)": tensor_patch,
    }
    if importlib.util.find_spec("bsdiff4"):
        import bsdiff4

        found["(bsdiff4)"] = bsdiff4.diff
    return found


def measure(base: bytes, target: bytes) -> tuple[list[str], list[float]]:
    """Shares of the whole in percent, and seconds, per format."""
    shares, seconds = [], []
    for make in formats().values():
        begun = time.perf_counter()
        shares.append(100 * len(make(base, target)) / len(target))
        seconds.append(time.perf_counter() - begun)
    sent = min(shares[:3])
    words = f"{sent:.1f}" if sent < 100 * PATCH_SHARE else "100 (whole)"
    return [*(f"{share:.1f}" for share in shares), words], seconds


def main() -> None:
    """Print one table."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.manual_seed(1)
    say_machine(f"a CNN for {PIXELS} x {PIXELS} pixels, trained and then trained on; sizes in percent of the new file")
    first = make_network()
    train(first, Training("Adam", 1e-3, 96), 1)
    rows, spent = [], np.zeros(len(formats()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = export(first, folder)
        for what, how in TRAININGS.items():
            network = make_network() if how.anew else copy.deepcopy(first)
            train(network, how, 2)
            for precision, target in export(network, folder).items():
                shares, seconds = measure(base[precision], target)
                rows.append((precision, what, *shares))
                spent += seconds
    rows.sort(key=lambda row: row[0])
    print_rows("sizes (in parentheses: not used)", ("precision", "trained on with", *formats(), "sent"), rows)
    times = ", ".join(f"{what} {share:.2f}" for what, share in zip(formats(), spent / spent[1], strict=True))
    print(f"\ntime to make all of a kind, against zstd patches: {times}")


if __name__ == "__main__":
    main()
