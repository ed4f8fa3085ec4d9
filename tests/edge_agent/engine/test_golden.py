from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from contract.manifest import golden_input_key, golden_output_key
from contract.package import Package
from contract.signing import PrivateKey
from edge_agent.engine import sample_files
from edge_agent.engine.engine import Engine, open_engine
from edge_agent.engine.errors import InputError
from edge_agent.engine.golden import GoldenSample, check_golden, load_acceptance, load_golden, score_acceptance
from edge_agent.engine.model_spec import ModelSpec
from tests.simulators.packages import make_acceptance, make_frames, make_package

VARIANT = "onnx-float32"


def test_golden_samples_of_a_package_pass_on_every_variant(package: Package) -> None:
    samples = load_golden(package.path_of("golden.npz"), package.manifest)
    assert len(samples) == 4
    for name, variant in package.manifest.variants.items():
        with open_engine(package, name) as engine:
            result = check_golden(engine, samples, name, variant)
        assert result.passed
        assert len(result.differences) == len(result.latencies_us) == 4


@pytest.mark.parametrize("wrong", [np.array([2.0, 0, 0], np.float32), np.zeros(4, np.float32), np.array([np.nan, 0, 0], np.float32)])
def test_one_wrong_output_fails(package: Package, engine: Engine, wrong: np.ndarray) -> None:
    first, *rest = load_golden(package.path_of("golden.npz"), package.manifest)
    changed = first._replace(outputs_by_variant={VARIANT: {"scores": wrong}})
    result = check_golden(engine, [*rest, changed], VARIANT, package.manifest.variants[VARIANT])
    assert not result.passed
    assert result.differences[0] <= 1e-4 < result.differences[-1]


def test_no_samples_prove_nothing(package: Package, engine: Engine) -> None:
    assert not check_golden(engine, [], VARIANT, package.manifest.variants[VARIANT]).passed


def test_the_number_of_samples_and_their_outputs_must_be_there(package: Package, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds 4 golden samples, the manifest says 5"):
        load_golden(package.path_of("golden.npz"), msgspec.structs.replace(package.manifest, golden_count=5))
    np.savez(tmp_path / "golden.npz", **{golden_input_key(0, "frame"): make_frames(1, 1)[0][0]})
    with pytest.raises(InputError, match=golden_output_key(0, "litert-float32", "scores")):
        load_golden(tmp_path / "golden.npz", msgspec.structs.replace(package.manifest, golden_count=1))


def test_a_pickle_is_never_opened(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    np.savez(path, **{golden_input_key(0, "frame"): np.array([{"a": 1}], object)})
    with pytest.raises(InputError, match="no usable"):
        load_golden(path, package.manifest)


@pytest.mark.parametrize("body", [b"", b"no zip", b"PK\x03\x04 broken"])
def test_a_broken_file_is_refused(package: Package, tmp_path: Path, body: bytes) -> None:
    (tmp_path / "golden.npz").write_bytes(body)
    with pytest.raises(InputError, match="no usable"):
        load_golden(tmp_path / "golden.npz", package.manifest)


def test_a_bomb_is_refused_before_it_is_unpacked(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_files, "MAX_EXPANDED_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "golden.npz", zeros=np.zeros(2 << 20, np.uint8))
    assert (tmp_path / "golden.npz").stat().st_size < 1 << 14
    with pytest.raises(InputError, match="more than is accepted"):
        load_golden(tmp_path / "golden.npz", package.manifest)


def test_an_acceptance_set_tells_good_from_bad(package: Package, engine: Engine, tmp_path: Path, key: PrivateKey) -> None:
    make_acceptance(tmp_path, count=12)
    samples, labels = load_acceptance(tmp_path / "acceptance.npz", engine.spec)
    assert score_acceptance(engine, samples, labels) == 1.0
    with open_engine(make_package(tmp_path / "bad", key=key, kind="bad"), VARIANT) as bad:
        assert score_acceptance(bad, samples, labels) == 0.0


def test_an_acceptance_set_that_does_not_fit_is_refused(package: Package, tmp_path: Path) -> None:
    make_acceptance(tmp_path, count=3)
    spec = ModelSpec.of(package.manifest)
    with pytest.raises(InputError, match="label outside 0 to 1"):
        load_acceptance(tmp_path / "acceptance.npz", replace(spec, labels=("red", "green")))
    with np.load(tmp_path / "acceptance.npz") as arrays:
        some = {name: arrays[name] for name in arrays.files if name != golden_input_key(1, "frame")}
    np.savez(tmp_path / "gap.npz", **some)
    with pytest.raises(InputError, match=r"labels as int64 \(1,\)"):
        load_acceptance(tmp_path / "gap.npz", spec)
    with pytest.raises(InputError, match="larger than the 100 bytes"):
        load_acceptance(tmp_path / "acceptance.npz", spec, max_bytes=100)


def test_a_sample_is_a_plain_value() -> None:
    assert GoldenSample({}, {}) == ({}, {})
