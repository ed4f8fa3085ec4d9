"""A package without any runtime: a few bytes stand for the model; needs nothing but the contract."""

from pathlib import Path

from contract.manifest import Manifest, TensorSpec, Variant
from contract.package import list_files, write_manifest
from contract.signing import PrivateKey

FILES = {
    "model.onnx": b"not a real model",
    "golden.npz": b"golden",
    "reference.json": b"{}",
    "report.json": b"{}",
    "model_card.md": "# Digits: café\n".encode(),
    "extra/notes.txt": b"a file in a folder",
}


def write_small_package(folder: Path, key: PrivateKey, version: int = 1) -> str:
    """Write it into the new folder `folder`; returns its digest."""
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    manifest = Manifest(
        schema_version=1,
        name="digits",
        version=version,
        task="image-classification",
        created_at="2026-01-01T00:00:00.000Z",
        labels=("zero", "one"),
        inputs=(TensorSpec("frame", "uint8", (-1, -1, 3), layout="HWC", units="RGB", value_range=(0, 255)),),
        outputs=(TensorSpec("scores", "float32", (2,), layout="C", units="probability", value_range=(0, 1)),),
        variants={"onnx-float32": Variant("onnx", "float32", "none", "model.onnx")},
        files=list_files(folder, FILES),
        golden_count=1,
    )
    return write_manifest(folder, manifest, key)
