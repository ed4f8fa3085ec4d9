"""Field samples from a real server into a project's labelling queue."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from contract.files import sha256_of
from desktop_app.cli import command
from desktop_app.data.catalogue import exclude, list_samples
from desktop_app.data.labelling_queue import list_queue, resolve
from desktop_app.data.project import Project, create_project, open_project
from desktop_app.errors import DataError
from desktop_app.release.field_samples import FieldReport, SampleFilter, bring_field_samples
from desktop_app.release.server_client import ServerClient
from tests.desktop_app.release.field_fleet import FieldFleet, png
from tests.desktop_app.release.live_server import running_server


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FieldFleet]:
    with running_server(tmp_path_factory.mktemp("server") / "data") as server:
        fleet = FieldFleet(server)
        fleet.send("pi-01", png(1))
        fleet.send("pi-01", png(2), label="blue", score=0.9)
        fleet.send("pi-02", png(1))  # the same picture, of another device
        fleet.send("pi-02", png(3), application="gate")
        fleet.send("pi-02", b"numbers", suffix="npz")
        fleet.send("pi-02", b"no picture at all")
        yield fleet


@pytest.fixture
def client(fleet: FieldFleet) -> Iterator[ServerClient]:
    with ServerClient(fleet.server.url, fleet.server.token) as opened:
        yield opened


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with create_project(tmp_path / "project", "digits", "image-classification") as made:
        yield made


def test_each_new_image_waits_unlabelled_with_what_the_device_said(client: ServerClient, project: Project) -> None:
    report = bring_field_samples(client, project)
    assert (report.queued, report.present) == (3, 1)
    assert sorted(refused.reason.partition(":")[0] for refused in report.refused) == sorted(
        ["it is no image", f"pi-02-{sha256_of(b'no picture at all')[:12]}.png can not be queued"]
    )
    queue = list_queue(project)
    assert [(sample.predicted, sample.predicted_score) for sample in queue] == [("red", 0.4), ("red", 0.4), ("blue", 0.9)]
    assert {(sample.label, sample.source, sample.queued) for sample in queue} == {(None, "device", True)}
    assert {sample.name[:6] for sample in queue} == {"pi-01-", "pi-02-"}


def test_what_the_project_has_is_left_as_a_person_left_it(client: ServerClient, project: Project) -> None:
    bring_field_samples(client, project)
    labelled, excluded, _ = list_queue(project)
    resolve(project, labelled.id, "red")
    exclude(project, [excluded.id])
    again = bring_field_samples(client, project)
    assert (again.queued, again.present) == (0, 4)
    assert len(list_queue(project)) == 1
    assert len(list_samples(project)) == 3


@pytest.mark.parametrize(
    ("wanted", "queued"),
    [
        (SampleFilter(device="pi-01"), 2),
        (SampleFilter(application="gate"), 1),
        (SampleFilter(model="faces"), 0),
        (SampleFilter(below_score=0.5), 2),
    ],
)
def test_only_what_is_wanted(client: ServerClient, project: Project, wanted: SampleFilter, queued: int) -> None:
    assert bring_field_samples(client, project, wanted).queued == queued


def test_a_project_for_tables_takes_none(client: ServerClient, tmp_path: Path) -> None:
    with create_project(tmp_path / "table", "sales", "tabular-classification") as table, pytest.raises(DataError, match="tabular"):
        bring_field_samples(client, table)


def test_the_verb_says_what_came(fleet: FieldFleet, project: Project) -> None:
    arguments = ["fetch-samples", "--project", str(project.folder), "--server", fleet.server.url]
    result = CliRunner().invoke(command, [*arguments, "--token-file", str(fleet.server.token_file), "--json"])
    assert result.exit_code == 0, result.output
    assert msgspec.json.decode(result.stdout, type=FieldReport).queued == 3
    result = CliRunner().invoke(command, [*arguments, "--token-file", str(fleet.server.token_file)])
    assert "0 new in the labelling queue\n4 were here already\nrefused pi-02-" in result.stdout
    with open_project(project.folder) as opened:
        assert len(list_queue(opened)) == 3
