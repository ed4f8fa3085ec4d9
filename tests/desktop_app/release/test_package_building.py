import json

import msgspec
import numpy as np
import pytest

from contract.codec import decode, encode
from contract.manifest import MANIFEST_PAYLOAD_TYPE
from contract.package import open_package, opened
from contract.reference import Reference
from converters.gate import GateResult
from converters.report import save_report
from desktop_app.cli import run as studio
from desktop_app.data.versions import load_version
from desktop_app.errors import KeyStoreError, ReleaseError
from desktop_app.jobs.events import Message
from desktop_app.jobs.requests import PackageJob
from desktop_app.release.acceptance import acceptance_folder, find_model_acceptance
from desktop_app.release.conversion import conversion_folder, load_conversion
from desktop_app.release.keys import KeyStore
from desktop_app.release.package_building import build_run_package
from desktop_app.training.runs import load_run
from edge_agent.engine.engine import open_engine
from edge_agent.engine.golden import check_golden, load_acceptance, load_golden, score_acceptance
from edge_agent.engine.model_spec import ModelSpec
from tests.desktop_app.release.conftest import PASSPHRASE, TARGETS, context_with_passphrase


def build(project, colours, run=None, **fields):
    events = []
    job = PackageJob(run or colours.good, "colours", str(colours.keys), **fields)
    built = build_run_package(project, job, context_with_passphrase(events))
    return built, [event.text for event in events if isinstance(event, Message)]


def open_built(project, colours, built):
    return open_package(project.folder / built.folder, {"colours": KeyStore(colours.keys, PASSPHRASE).model_key("colours").public})


def make_failing(project, run_id, *names):
    """Rewrite a conversion's verdicts, as if these variants had lost too much."""
    run = load_run(project, run_id)
    report = load_conversion(run)
    gates = {name: GateResult(name not in names, "lost 9.00 points") for name in report.variants}
    save_report(msgspec.structs.replace(report, gates=gates, remedies=("Try this.",)), conversion_folder(run))


def test_a_package_is_whole_signed_and_the_same_in_both_forms(project, colours):
    built, said = build(project, colours)
    package = open_built(project, colours, built)
    manifest = package.manifest
    assert (package.digest, manifest.name, manifest.version) == (built.digest, "colours", 1)
    assert (manifest.task, manifest.labels) == ("image-classification", ("blue", "green", "red"))
    assert tuple(sorted(manifest.variants)) == TARGETS
    with opened(project.folder / built.archive, {"colours": KeyStore(colours.keys, PASSPHRASE).model_key("colours").public}) as packed:
        assert packed.digest == built.digest
    assert any(f"digest {built.digest[:16]}" in line for line in said)
    assert [path.name for path in (project.folder / "packages").iterdir() if path.name.startswith(".")] == []


def test_golden_samples_hold_in_every_variant(project, colours):
    built, _ = build(project, colours)
    package = open_built(project, colours, built)
    golden = load_golden(package.path_of("golden.npz"), package.manifest)
    assert len(golden) == 16
    for name, variant in package.manifest.variants.items():
        with open_engine(package, name) as engine:
            result = check_golden(engine, golden, name, variant)
        assert result.passed, name
        assert result.max_difference <= 1e-6
    assert package.manifest.variants["onnx-float32"].tolerance == 1e-4
    assert package.manifest.variants["onnx-int8"].tolerance >= 0.02


def test_golden_samples_are_of_the_test_split_and_of_all_classes(project, colours):
    built, _ = build(project, colours)
    package = open_built(project, colours, built)
    golden = load_golden(package.path_of("golden.npz"), package.manifest)
    answers = {int(sample.outputs_by_variant["onnx-float32"]["scores"].argmax()) for sample in golden}
    assert answers == {0, 1, 2}
    for sample in golden:
        best = {int(outputs["scores"].argmax()) for outputs in sample.outputs_by_variant.values()}
        assert len(best) == 1


def test_lineage_leads_back_to_the_data(project, colours):
    built, _ = build(project, colours)
    lineage = open_built(project, colours, built).manifest.lineage
    run = load_run(project, colours.good)
    assert lineage.dataset_version == load_version(project).digest
    assert (lineage.run, lineage.recipe, lineage.seed) == (run.id, run.recipe_digest, 0)
    assert {"torch", "onnxruntime", "python", "machine"} <= set(lineage.software)
    assert lineage.gate_override == ""


def test_the_reference_counts_the_validation_split(project, colours):
    built, _ = build(project, colours)
    data = (project.folder / built.folder / "reference.json").read_bytes()
    reference = decode(data, Reference, "reference.json")
    count = len(load_version(project).of_split("validation"))
    assert reference.sample_count == reference.confidence.count == sum(reference.class_counts.values()) == count
    assert 0 < reference.drift_limit < 1


def test_the_card_and_the_report_are_true_and_hold_no_names_of_files(project, colours):
    built, _ = build(project, colours)
    folder = project.folder / built.folder
    card = (folder / "model_card.md").read_text()
    report = json.loads((folder / "report.json").read_bytes())
    assert card.startswith("# colours 1\n")
    assert "<b>" not in card  # the project's name is plain text
    assert "acceptance set (24 samples no version trained with)" in card
    assert report["acceptance"]["scores"] == built.acceptance.scores
    assert ".png" not in card + json.dumps(report)
    for name, variant in open_built(project, colours, built).manifest.variants.items():
        assert f"| {name} | {100 * variant.evaluation.score:.1f} %" in card


def test_the_first_version_fixes_the_acceptance_minimum(project, colours):
    built, _ = build(project, colours)
    fixed = find_model_acceptance(project, "colours")
    assert (fixed.count, fixed.metric, fixed.minimum_score) == (24, "accuracy", built.acceptance.minimum)
    assert fixed.desk_score == built.acceptance.scores["onnx-float32"] > fixed.minimum_score
    package = open_built(project, colours, built)
    samples, labels = load_acceptance(acceptance_folder(project, "colours") / "acceptance.npz", ModelSpec.of(package.manifest))
    with open_engine(package, "onnx-float32") as engine:
        assert score_acceptance(engine, samples, labels) == fixed.desk_score
    assert sorted(np.unique(labels)) == [0, 1, 2]


def test_a_first_version_must_be_better_than_guessing(project, colours):
    with pytest.raises(ReleaseError, match="no better than always naming the commonest class"):
        build(project, colours, colours.bad)
    assert find_model_acceptance(project, "colours") is None
    assert build(project, colours)[0].version == 1


def test_acceptance_samples_are_in_no_split(project, colours):
    build(project, colours)
    from desktop_app.data.acceptance_set import find_acceptance

    assert not set(find_acceptance(project).sha256s) & {sample.sha256 for sample in load_version(project).samples}


def test_a_later_version_is_held_to_the_same_minimum_and_refused_below_it(project, colours):
    first, _ = build(project, colours)
    with pytest.raises(ReleaseError, match=r"acceptance score .* is below the minimum of") as caught:
        build(project, colours, colours.bad)
    assert "--override-gate" in caught.value.advice
    assert sorted(path.name for path in (project.folder / "packages").iterdir()) == ["colours-1", "colours-1.eyelet"]
    assert find_model_acceptance(project, "colours").minimum_score == first.acceptance.minimum


def test_an_overridden_gate_is_written_into_the_lineage_and_the_card(project, colours):
    build(project, colours)
    built, _ = build(project, colours, colours.bad, gate_override="we are\nin a hurry")
    assert built.version == 2
    lineage = open_built(project, colours, built).manifest.lineage
    assert lineage.gate_override.startswith("we are in a hurry (overridden: acceptance score ")
    card = (project.folder / built.folder / "model_card.md").read_text()
    assert "**A gate was overridden**" in card
    assert "Fault injection" in card


def test_a_reason_that_overrides_nothing_is_not_written(project, colours):
    built, _ = build(project, colours, gate_override="just in case")
    assert built.gate_override == ""


def test_a_variant_that_lost_too_much_is_left_out(project, colours):
    make_failing(project, colours.good, "onnx-int8")
    built, said = build(project, colours)
    assert built.variants == ("onnx-float32",)
    assert built.left_out == {"onnx-int8": "lost 9.00 points"}
    assert "onnx-int8 was left out: lost 9.00 points" in said
    assert "onnx-int8 was left out" in (project.folder / built.folder / "model_card.md").read_text()


def test_an_override_takes_it_in_and_says_so(project, colours):
    make_failing(project, colours.good, "onnx-int8")
    built, _ = build(project, colours, gate_override="small enough for us")
    assert set(built.variants) == set(TARGETS)
    assert "onnx-int8 lost 9.00 points" in built.gate_override


def test_no_variant_that_passes_means_no_package(project, colours):
    make_failing(project, colours.good, *TARGETS)
    with pytest.raises(ReleaseError, match="every variant lost too much") as caught:
        build(project, colours)
    assert caught.value.advice.startswith("Try this.")


def test_versions_rise_and_never_change(project, colours):
    assert build(project, colours, version=5)[0].version == 5
    assert build(project, colours)[0].version == 6
    with pytest.raises(ReleaseError, match="version 5 of colours is packaged already"):
        build(project, colours, version=5)


def test_without_an_acceptance_set_a_package_is_refused_or_overridden(project, colours):
    (project.folder / "acceptance" / "acceptance.json").unlink()
    with pytest.raises(ReleaseError, match="no acceptance set"):
        build(project, colours)
    built, _ = build(project, colours, gate_override="first try")
    assert built.acceptance is None
    assert "not checked against an acceptance set" in (project.folder / built.folder / "model_card.md").read_text()


def test_a_changed_variant_or_acceptance_set_is_noticed(project, colours):
    build(project, colours)
    samples = acceptance_folder(project, "colours") / "acceptance.npz"
    samples.write_bytes(samples.read_bytes()[:-1] + b"x")
    with pytest.raises(ReleaseError, match="acceptance set of colours can not be read"):
        build(project, colours)
    variant = conversion_folder(load_run(project, colours.good)) / "onnx-int8.onnx"
    variant.write_bytes(variant.read_bytes() + b"x")
    with pytest.raises(ReleaseError, match=r"conversion of run .* is broken") as caught:
        build(project, colours)
    assert "Convert it again" in caught.value.advice


def test_another_label_set_needs_another_model(project, colours):
    build(project, colours)
    path = acceptance_folder(project, "colours") / "acceptance.json"
    fixed = msgspec.structs.replace(find_model_acceptance(project, "colours"), label_set_digest="0" * 64)
    path.chmod(0o644)
    path.write_bytes(encode(fixed))
    with pytest.raises(ReleaseError, match="are not those that model colours was registered with"):
        build(project, colours)


def test_a_wrong_passphrase_is_found_before_any_work(project, colours):
    job = PackageJob(colours.good, "colours", str(colours.keys))
    context = context_with_passphrase()
    context._secrets["passphrase"] = "wrong"
    with pytest.raises(KeyStoreError):
        build_run_package(project, job, context)
    assert not (project.folder / "packages").exists()


def test_the_verb_prints_path_and_digest(colours, monkeypatch, capfd):
    monkeypatch.setenv("EYELET_PASSPHRASE", PASSPHRASE)
    arguments = ["package", colours.good, "--project", str(colours.folder), "--model", "colours", "--keys", str(colours.keys)]
    assert studio([*arguments, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["archive"] == str(colours.folder / "packages/colours-1.eyelet")
    assert studio(arguments) == 0
    out = capfd.readouterr().out
    assert out.splitlines()[0].endswith("packages/colours-2.eyelet")
    assert "digest " in out
    assert studio(["package", colours.bad, *arguments[2:]]) == 1
    assert "--override-gate" in capfd.readouterr().err


def test_the_verb_convert_prints_the_table(colours, capfd):
    assert studio(["convert", colours.good, "--project", str(colours.folder), "--targets", "onnx-float32", "--max-loss", "1.0"]) == 0
    out = capfd.readouterr().out
    assert out.splitlines()[0].split()[:3] == ["variant", "accuracy", "change"]
    assert out.splitlines()[1].split()[0] == "onnx-float32"


def test_the_signature_is_over_the_manifest(project, colours):
    built, _ = build(project, colours)
    envelope = json.loads((project.folder / built.folder / "manifest.sig").read_bytes())
    assert envelope["payloadType"] == MANIFEST_PAYLOAD_TYPE
