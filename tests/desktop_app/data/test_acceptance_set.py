from collections import Counter
from pathlib import Path

import pytest

from contract.acceptance import label_set_digest
from desktop_app.data.acceptance_set import find_acceptance, freeze_acceptance, summarize_acceptance
from desktop_app.data.catalogue import list_samples, set_label, split_counts
from desktop_app.data.importing import import_source
from desktop_app.data.project import Project, create_project
from desktop_app.data.versions import freeze_version, load_version
from desktop_app.errors import VersionError
from tests.desktop_app.data.pictures import write_classes


def test_it_follows_the_classes_and_is_the_same_for_the_same_seed(filled: Project, tmp_path: Path) -> None:
    frozen = freeze_acceptance(filled, count=10, seed=4)
    assert Counter(sample.label for sample in frozen.samples) == {"cat": 4, "dog": 4, "owl": 2}
    assert frozen.label_set_digest == label_set_digest(["cat", "dog", "owl"])
    assert summarize_acceptance(frozen).classes == {"cat": 4, "dog": 4, "owl": 2}
    with create_project(tmp_path / "again", "again", "image-classification") as other:
        import_source(other, tmp_path / "animals")
        assert freeze_acceptance(other, count=10, seed=4).digest == frozen.digest
    assert find_acceptance(filled) == frozen


@pytest.mark.parametrize("seed", range(4))
def test_its_content_is_in_no_split_of_any_later_version(filled: Project, tmp_path: Path, seed: int) -> None:
    frozen = freeze_acceptance(filled, count=15, seed=seed)
    assert split_counts(filled)["acceptance"] == 15
    copies = tmp_path / "copies" / "dog"
    copies.mkdir(parents=True)
    for number, sha256 in enumerate(frozen.sha256s):
        (copies / f"copy{number}.png").write_bytes(filled.blob_path(sha256).read_bytes())
    import_source(filled, tmp_path / "copies")
    import_source(filled, write_classes(tmp_path / "more", {"cat": 5}, start=200))
    acceptance_ids = [sample.id for sample in list_samples(filled) if sample.sha256 in frozen.sha256s]
    set_label(filled, acceptance_ids, "owl")
    for version_seed in (0, 1):
        version = freeze_version(filled, seed=version_seed)
        assert not {sample.sha256 for sample in version.samples} & set(frozen.sha256s)
        assert len(version.samples) == 40
    assert split_counts(filled)["acceptance"] == 15


def test_rows_with_the_features_of_an_acceptance_row_are_in_no_split(table_project: Project, tmp_path: Path) -> None:
    lines = [f"{n % 40},{n % 40},{'xy'[n % 40 % 2]}" for n in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,kind", *lines]))
    import_source(table_project, tmp_path / "t.csv")
    frozen = freeze_acceptance(table_project, count=20, seed=0)
    (tmp_path / "u.csv").write_text("\n".join(["a,b,kind", *[f"{n},{n},z" for n in range(45)]]))
    import_source(table_project, tmp_path / "u.csv")
    apart = {sample.row["a"] for sample in list_samples(table_project) if sample.row and sample.split == "acceptance"}
    version = freeze_version(table_project)
    assert len(frozen.samples) == 20
    assert not apart & {sample.row["a"] for sample in version.samples if sample.row}
    assert len(version.samples) == 80 + 45 - 20 - 10


def test_it_is_frozen_once(filled: Project) -> None:
    freeze_acceptance(filled, count=10)
    with pytest.raises(VersionError, match="frozen already"):
        freeze_acceptance(filled, count=10)


@pytest.mark.parametrize(("count", "reason"), [(26, "at most half may go"), (60, "needs 60 labelled samples")])
def test_too_few_samples_left_are_refused(filled: Project, count: int, reason: str) -> None:
    with pytest.raises(VersionError, match=reason):
        freeze_acceptance(filled, count=count)
    assert find_acceptance(filled) is None


def test_a_small_class_keeps_what_training_needs(project: Project, tmp_path: Path) -> None:
    import_source(project, write_classes(tmp_path / "animals", {"cat": 30, "rare": 3}))
    frozen = freeze_acceptance(project, count=10)
    assert Counter(sample.label for sample in frozen.samples) == {"cat": 10}
    assert frozen.labels == ("cat", "rare")


def test_after_a_version_only_what_it_never_trained_with_is_taken(filled: Project, tmp_path: Path) -> None:
    version = freeze_version(filled)
    with pytest.raises(VersionError, match="that no version trained with, got"):
        freeze_acceptance(filled, count=20)
    import_source(filled, write_classes(tmp_path / "more", {"cat": 20, "dog": 20}, start=100))
    frozen = freeze_acceptance(filled, count=20)
    trained = {sample.sha256 for sample in version.samples if sample.split != "test"}
    assert not trained & set(frozen.sha256s)
    assert load_version(filled, 1) == version


def test_a_broken_file_is_refused(filled: Project) -> None:
    freeze_acceptance(filled, count=10)
    path = filled.folder / "acceptance" / "acceptance.json"
    path.chmod(0o644)
    path.write_bytes(b"{}")
    with pytest.raises(VersionError, match="can not be read"):
        freeze_version(filled)
