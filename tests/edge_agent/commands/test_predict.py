import http.client
import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from contract.files import write_atomic
from contract.package import Package, write_archive
from contract.signing import PrivateKey, public_key_to_bytes
from edge_agent.commands.predict import predict
from edge_agent.engine.engine import open_engine
from edge_agent.engine.golden import load_golden
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sinks.batch_lines import BatchHead
from edge_agent.sources.batch import plan_batch
from tests.edge_agent.serving.serving_thread import serving
from tests.edge_agent.sources.live_sources import make_wav
from tests.simulators.packages import make_frames, make_package
from tests.simulators.sounds import make_sound_package
from tests.simulators.tables import make_table_package
from tests.simulators.waiting import wait_until


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, frame in enumerate(make_frames(3, 3)[0]):
        Image.fromarray(frame).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def key_file(tmp_path: Path, key: PrivateKey) -> str:
    write_atomic(tmp_path / "digits.pub.json", public_key_to_bytes(key.public, "digits"))
    return str(tmp_path / "digits.pub.json")


def run(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(predict, ["--home", str(tmp_path / "home"), *arguments])


def test_a_folder_of_images_is_answered_line_by_line(package: Package, images: Path, key_file: str, tmp_path: Path) -> None:
    result = run(tmp_path, str(package.folder), str(images), "--key", key_file, "--json")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["label"] for line in lines] == ["red", "green", "blue"]
    assert [Path(line["input"]).name for line in lines] == ["0.png", "1.png", "2.png"]
    people = run(tmp_path, str(package.folder), str(images / "0.png"), "--key", key_file)
    assert "0.png: red  99." in people.stdout


def test_a_file_that_can_not_be_read_is_said_and_the_rest_is_answered(
    package: Package, images: Path, key_file: str, tmp_path: Path
) -> None:
    (images / "1.png").write_bytes((images / "1.png").read_bytes()[:60])
    output = tmp_path / "answers.jsonl"
    result = run(tmp_path, str(package.folder), str(images), "--key", key_file, "--output", str(output))
    assert result.exit_code == 1
    assert "1 of 3 samples got no answer" in result.stderr
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert ["error" in line for line in lines] == [False, True, False]


@pytest.fixture
def mixed(images: Path) -> Path:
    """A folder with an image, a table, a sound, a text and a hidden file."""
    for name in ("1.png", "2.png"):
        (images / name).unlink()
    (images / "rows.csv").write_text("age,city\n1,Bonn\n")
    (images / "a.wav").write_bytes(make_wav(b"\x00\x40" * 200))
    (images / "notes.txt").write_text("none of them")
    (images / ".hidden").write_text("nor this")
    return images


TAKES_IMAGES = "the model takes images: give it image files or folders of them"
TAKES_ROWS = "the model takes rows of CSV files or Parquet files: give it files with the columns age, city"
TAKES_SOUNDS = "the model takes sounds of 1000 samples per second: give it WAV files or folders of them"


def test_files_of_another_kind_than_the_model_takes_are_said_to_be_that(
    package: Package, visitors: Package, mixed: Path, tmp_path: Path, key: PrivateKey
) -> None:
    loud = make_sound_package(tmp_path / "loud", key=key)
    for model, takes, wrong in (
        (package, TAKES_IMAGES, {"rows.csv": "a table", "a.wav": "a WAV file"}),
        (visitors, TAKES_ROWS, {"0.png": "an image", "a.wav": "a WAV file"}),
        (loud, TAKES_SOUNDS, {"rows.csv": "a table", "0.png": "an image"}),
    ):
        files = [str(mixed / name) for name in ("0.png", "a.wav", "rows.csv")]
        result = run(tmp_path, str(model.folder), *files, "--insecure-skip-signature", "--json")
        found = {Path(line["input"]).name: line["error"] for line in map(json.loads, result.stdout.splitlines()) if "error" in line}
        assert found == {name: f"this is {what} by its name; {takes}" for name, what in wrong.items()}
        assert "2 of 3 samples got no answer" in result.stderr


def test_a_folder_says_what_it_holds_and_what_is_left_out(
    package: Package, visitors: Package, mixed: Path, tmp_path: Path, key: PrivateKey
) -> None:
    result = run(tmp_path, str(package.folder), str(mixed), "--insecure-skip-signature")
    assert result.exit_code == 0
    assert "left out in folders, as nothing for this model by their names: 3 files" in result.stderr
    refused = run(tmp_path, str(visitors.folder), str(mixed), "--insecure-skip-signature")
    assert f"{mixed} is a folder (it holds 1 WAV file, 1 image, 2 other files, 1 table); {TAKES_ROWS}" in refused.stderr
    (mixed / "a.wav").unlink()
    loud = make_sound_package(tmp_path / "loud", key=key)
    refused = run(tmp_path, str(loud.folder), str(mixed), "--insecure-skip-signature")
    assert f"holds no WAV file; it holds 1 image, 2 other files, 1 table; {TAKES_SOUNDS}" in refused.stderr
    (tmp_path / "empty").mkdir()
    refused = run(tmp_path, str(package.folder), str(tmp_path / "empty"), "--insecure-skip-signature")
    assert f"it holds nothing; {TAKES_IMAGES}" in refused.stderr


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"1,Bonn\n2,Bonn\n", "has no column age, city; it has 1, Bonn; the first line must name the columns"),
        (b"age;city\n1;Bonn\n", "has no column age, city; it has age;city; cells are separated by commas"),
        (b"Age, city\n1, Bonn\n", "'Age' differs from the name by spaces or capital letters"),
        ("age,city\n1,Köln\n".encode("latin-1"), "is not in UTF-8; save it as CSV in UTF-8"),
        ("age,city\n1,Bonn\n".encode("utf-16"), "is not in UTF-8; save it as CSV in UTF-8"),
        (b"", "has no column age, city; it has nothing"),
        (b"age,city\n", "has no rows"),
    ],
)
def test_a_table_that_does_not_fit_is_said_once_with_what_to_do(visitors: Package, tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "rows.csv").write_bytes(data)
    result = run(tmp_path, str(visitors.folder), str(tmp_path / "rows.csv"), "--insecure-skip-signature")
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("rows.csv") == 1


@pytest.mark.skipif(os.name != "posix", reason="such names can not be made")
def test_names_that_steer_a_terminal_are_shown_quoted_and_written_as_they_are(
    package: Package, visitors: Package, images: Path, tmp_path: Path
) -> None:
    names = ["a\nb\x1b[31m.png", "c\u202egnp.png", "d.png"]
    for name in names:
        (images / name).write_bytes((images / "0.png").read_bytes())
    for left in ("0.png", "1.png", "2.png"):
        (images / left).write_bytes(b"no image")
        (images / left).rename(images / f"broken\r{left}")
    (tmp_path / "e\x9b2J.csv").write_text("age\x1b[2J,town\n1,Bonn\n")
    shown = [
        run(tmp_path, str(package.folder), str(images), "--insecure-skip-signature"),
        run(tmp_path, str(package.folder), str(tmp_path / "no\x1b]0;x\x07"), "--insecure-skip-signature"),
        run(tmp_path, str(visitors.folder), str(tmp_path / "e\x9b2J.csv"), "--insecure-skip-signature"),
        run(tmp_path, str(package.folder), str(images), "--insecure-skip-signature", "--output", str(tmp_path / "f\x1b[m")),
        run(tmp_path, str(package.folder), str(images), "--insecure-skip-signature", "--output", str(tmp_path / "f\x1b[m"), "--resume"),
    ]
    assert all(line.isprintable() for result in shown for line in result.output.splitlines()), [result.output for result in shown]
    assert "/a\\nb\\x1b[31m.png': red" in shown[0].stdout
    assert "/d.png: red" in shown[0].stdout
    written = [json.loads(line)["input"] for line in (tmp_path / "f\x1b[m").read_text().splitlines()]
    assert {str(images / name) for name in names} < set(written)
    assert len(written) == 6


@pytest.mark.skipif(sys.platform != "linux", reason="such names can not be made")
def test_a_name_that_is_no_text_is_answered_and_gone_on_with(package: Package, visitors: Package, images: Path, tmp_path: Path) -> None:
    (images / "1.png").rename(os.fsdecode(bytes(images) + b"/1\xff.png"))
    (images / "2.png").unlink()
    result = run(tmp_path, str(package.folder), str(images), "--insecure-skip-signature", "--json")
    assert [Path(json.loads(line)["input"]).name for line in result.stdout.splitlines()] == ["0.png", "1\N{REPLACEMENT CHARACTER}.png"]
    table = os.fsdecode(bytes(tmp_path) + b"/\xfe.csv")
    for text, error in (("age,city\n1,Bonn\n", None), ("age\n1\n", "has no column city")):
        Path(table).write_text(text)
        output = str(tmp_path / "out.jsonl")
        for resume in ((), ("--resume",)):
            run(tmp_path, str(visitors.folder), table, "--insecure-skip-signature", "--output", output, *resume)
            assert (error or "") in answers(Path(output))[0].get("error", "")


def test_a_name_that_the_output_can_not_hold_is_shown_with_escapes(package: Package, images: Path, tmp_path: Path) -> None:
    (images / "0.png").rename(images / "\u732b.png")
    program = [sys.executable, "-m", "edge_agent.cli", "predict", str(package.folder), str(images), "--insecure-skip-signature"]
    encoded = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    result = subprocess.run([*program, "--home", str(tmp_path)], capture_output=True, check=True, env=encoded)
    assert b"\\u732b.png: red" in result.stdout


def test_rows_of_files_of_one_name_are_told_apart(visitors: Package, tmp_path: Path) -> None:
    tables = [tmp_path / folder / "rows.csv" for folder in ("a", "b")]
    for path in tables:
        path.parent.mkdir()
        path.write_text("age,city\n1,Bonn\n")
    result = run(tmp_path, str(visitors.folder), *map(str, tables), "--insecure-skip-signature", "--json")
    assert [json.loads(line)["input"] for line in result.stdout.splitlines()] == [f"{path}:2" for path in tables]


@pytest.mark.skipif(os.name != "posix", reason="there are no named pipes in folders")
def test_an_output_that_is_no_file_is_not_replaced_by_one(package: Package, images: Path, key_file: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused = run(tmp_path, str(package.folder), str(images), "--key", key_file, "--output", str(tmp_path / "pipe"))
    assert (refused.exit_code, (tmp_path / "pipe").is_fifo()) == (1, True)
    assert "leave --output out to write to stdout" in refused.stderr
    (tmp_path / "latest.jsonl").symlink_to("answers.jsonl")
    run(tmp_path, str(package.folder), str(images), "--key", key_file, "--output", str(tmp_path / "latest.jsonl"))
    assert (tmp_path / "latest.jsonl").is_symlink()
    assert (tmp_path / "answers.jsonl").is_file()


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGPIPE")
def test_a_reader_that_goes_away_is_no_error(package: Package, images: Path, key_file: str, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "edge_agent.cli", "predict", str(package.folder), str(images), "--key", key_file]
    with subprocess.Popen([*program, "--home", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert b"Broken pipe" not in child.stderr.read()


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_a_package_that_nobody_vouches_for_is_refused(package: Package, images: Path, tmp_path: Path, form: str) -> None:
    path = package.folder if form == "folder" else write_archive(package.folder, tmp_path / "digits-1.eyelet")
    result = run(tmp_path, str(path), str(images))
    assert result.exit_code == 1
    assert "no trusted key vouches for" in result.stderr
    assert "eyelet-agent trust add FILE.pub.json" in result.stderr
    unsigned = run(tmp_path, str(path), str(images), "--insecure-skip-signature")
    assert unsigned.exit_code == 0
    assert "the signature is not looked at" in unsigned.stderr


def test_a_truncated_or_tampered_package_is_refused(key: PrivateKey, images: Path, key_file: str, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", key=key)
    archive = write_archive(package.folder, tmp_path / "digits-1.eyelet")
    archive.write_bytes(archive.read_bytes()[:-200])
    assert "not a whole package" in run(tmp_path, str(archive), str(images), "--key", key_file).stderr
    with package.variant_path("onnx-float32").open("ab") as file:
        file.write(b"more")
    assert "bytes, expected" in run(tmp_path, str(package.folder), str(images), "--key", key_file).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere/at/all", "x.png"), 1, "does not exist"),
        (("letters", "x.png"), 1, "is no agent's folder"),
        (("letters",), 2, "name at least one input"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = run(tmp_path, *arguments)
    assert result.exit_code == code
    assert words in result.stderr


@pytest.mark.parametrize("variant", ["onnx-float32", "litert-float32"])
def test_the_golden_check_is_printed_and_fails_where_it_must(
    package: Package, key: PrivateKey, key_file: str, tmp_path: Path, *, variant: str
) -> None:
    result = run(tmp_path, str(package.folder), "--golden", "--json", "--key", key_file, "--variant", variant)
    *samples, verdict = [json.loads(line) for line in result.stdout.splitlines()]
    assert verdict == {**verdict, "variant": variant, "samples": 4, "passed": True}
    assert all(sample["difference"] <= 1e-4 for sample in samples)
    wrong = make_package(tmp_path / "wrong", key=key, kind="wrong-golden")
    result = run(tmp_path, str(wrong.folder), "--golden", "--key", key_file)
    assert result.exit_code == 1
    assert "does not compute what the desk computed" in result.stderr


def test_engine_command_and_endpoint_give_the_same_golden_answers(package: Package, key_file: str, tmp_path: Path) -> None:
    golden = load_golden(package.path_of("golden.npz"), package.manifest)
    for index, sample in enumerate(golden):
        Image.fromarray(sample.inputs["frame"]).save(tmp_path / f"{index}.png")
    files = [str(tmp_path / f"{index}.png") for index in range(len(golden))]
    lines = run(tmp_path, str(package.folder), *files, "--key", key_file, "--json").stdout.splitlines()
    with (
        open_engine(package, "onnx-float32") as engine,
        serving(package) as port,
        closing(http.client.HTTPConnection("127.0.0.1", port)) as client,
    ):
        for sample, file, line in zip(golden, files, lines, strict=True):
            client.request("POST", "/predict", Path(file).read_bytes(), {"Content-Type": "image/png"})
            with client.getresponse() as response:
                served = json.loads(response.read())["scores"]
            desk = sample.outputs_by_variant["onnx-float32"]["scores"]
            for scores in (engine.predict(sample.inputs).scores, json.loads(line)["scores"], served):
                np.testing.assert_allclose(scores, desk, atol=1e-4)


ROWS = 60


@pytest.fixture
def visitors(tmp_path: Path, key: PrivateKey) -> Package:
    return make_table_package(tmp_path / "visitors", key=key)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    lines = [f"{'old' if n % 17 == 5 else n - 30},{'Köln' if n % 2 else 'Bonn'}" for n in range(ROWS)]
    (tmp_path / "rows.csv").write_text("\n".join(["age,city", *lines]) + "\n", encoding="utf-8")
    return tmp_path / "rows.csv"


def answers(path: Path) -> list[dict]:
    return [{key: value for key, value in json.loads(line).items() if key != "latency_ms"} for line in path.read_text().splitlines()]


def test_a_batch_that_was_cut_at_any_byte_goes_on_without_repeating_or_losing_a_line(
    visitors: Package, table: Path, key_file: str, tmp_path: Path
) -> None:
    common = (str(visitors.folder), str(table), "--insecure-skip-signature", "--output")
    whole, output, partial = (tmp_path / name for name in ("whole.jsonl", "out.jsonl", "out.jsonl.partial"))
    assert run(tmp_path, *common, str(whole)).exit_code == 1  # some rows are no rows
    expected = answers(whole)
    assert [line["input"] for line in expected] == [f"rows.csv:{n + 2}" for n in range(ROWS)]
    head = BatchHead(1, visitors.digest, "onnx-float32", plan_batch([table], ModelSpec.of(visitors.manifest)).fingerprint())
    data = whole.read_bytes()
    for cut in [0, 1, 100, len(data) // 2, len(data) - 1, len(data)]:
        for tail in (b"", b"\0\0\0\0\n\0"):  # a kill, a power cut
            output.unlink(missing_ok=True)
            partial.write_bytes(data[:cut] + tail)
            (tmp_path / "out.jsonl.partial.json").write_bytes(msgspec.json.encode(head))
            result = run(tmp_path, *common, str(output), "--resume")
            assert "4 of 60 samples got no answer" in result.stderr, result.output
            assert answers(output) == expected
            assert not list(tmp_path.glob("*.partial*"))


def test_a_batch_that_is_killed_goes_on(visitors: Package, tmp_path: Path) -> None:
    count = 40_000
    (tmp_path / "long.csv").write_text("age,city\n" + "".join(f"{n % 7},Bonn\n" for n in range(count)))
    output = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "edge_agent.cli", "predict", str(visitors.folder), str(tmp_path / "long.csv")]
    command += ["--insecure-skip-signature", "--home", str(tmp_path), "--output", str(output)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}) as child:
        partial = tmp_path / "out.jsonl.partial"
        wait_until(lambda: partial.exists() and partial.stat().st_size > 0)
        child.kill()
    assert not output.exists()
    before = partial.read_bytes()
    assert 0 < before.count(b"\n") < count
    result = run(tmp_path, *command[4:6], "--insecure-skip-signature", "--output", str(output), "--resume")
    assert result.exit_code == 0, result.output
    assert f"going on after {before.count(bytes([10]))} answers" in result.stderr
    data = output.read_bytes()
    assert data.startswith(before[: before.rindex(b"\n") + 1])
    assert [json.loads(line)["input"] for line in data.splitlines()] == [f"long.csv:{n + 2}" for n in range(count)]
    again = run(tmp_path, *command[4:6], "--insecure-skip-signature", "--output", str(output), "--resume")
    assert (again.exit_code, output.read_bytes()) == (0, data)
    assert "is whole already" in again.stderr
    (tmp_path / "short.csv").write_text("age,city\n1,Aachen\n")
    other = run(tmp_path, command[4], str(tmp_path / "short.csv"), "--insecure-skip-signature", "--output", str(output), "--resume")
    assert (other.exit_code, output.read_bytes()) == (1, data)
    assert "the answers to other inputs" in other.stderr


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent")
def test_a_batch_that_a_person_stops_says_how_to_go_on(visitors: Package, tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text("age,city\n" + "1,Bonn\n" * 300_000)
    program = [sys.executable, "-m", "edge_agent.cli", "predict", str(visitors.folder), str(tmp_path / "long.csv")]
    program += ["--insecure-skip-signature", "--home", str(tmp_path), "--output", str(tmp_path / "out.jsonl")]
    with subprocess.Popen(program, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}) as child:
        partial = tmp_path / "out.jsonl.partial"
        wait_until(lambda: partial.exists() and partial.stat().st_size > 0)
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        said = child.stderr.read().decode()
    assert child.returncode == 130
    assert f"the answers so far lie in {partial}; the same command with --resume goes on" in said


def test_an_output_of_another_version_or_of_fewer_inputs_is_not_taken_for_whole(key: PrivateKey, images: Path, tmp_path: Path) -> None:
    first, second = (make_package(tmp_path / str(number), key=key, version=number) for number in (1, 2))
    output = tmp_path / "out.jsonl"
    common = (str(images), "--insecure-skip-signature", "--output", str(output), "--resume")
    assert run(tmp_path, str(first.folder), *common).exit_code == 0
    whole = output.read_bytes()
    other = run(tmp_path, str(second.folder), *common)
    assert (other.exit_code, output.read_bytes()) == (1, whole)
    assert "holds the answers of digits 1 (onnx-float32), this is digits 2 (onnx-float32)" in other.stderr
    (images / "3.png").write_bytes(b"broken")
    grown = run(tmp_path, str(first.folder), *common)
    assert (grown.exit_code, output.read_bytes()) == (1, whole)
    assert "the answers to other inputs" in grown.stderr
    assert run(tmp_path, str(first.folder), *common[:-1]).exit_code == 1
    again = run(tmp_path, str(first.folder), *common)
    assert again.exit_code == 1
    assert f"1 of 4 samples got no answer; {output} says why" in again.stderr


def test_an_output_that_can_not_be_written_or_would_replace_an_input_is_refused(package: Package, images: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    before = (images / "0.png").read_bytes()
    for output, words in ((tmp_path / "file" / "out.jsonl", "can not be written"), (images / "0.png", "is one of the inputs")):
        result = run(tmp_path, str(package.folder), str(images), "--insecure-skip-signature", "--output", str(output))
        assert result.exit_code == 1
        assert f"{output} {words}" in result.stderr
    assert (images / "0.png").read_bytes() == before


def test_a_folder_of_images_goes_on_too(package: Package, images: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    common = (str(package.folder), str(images), "--insecure-skip-signature", "--output", str(output), "--resume")
    assert run(tmp_path, *common).exit_code == 0
    first = output.read_bytes().splitlines(keepends=True)
    inputs = plan_batch([images], ModelSpec.of(package.manifest)).fingerprint()
    output.rename(tmp_path / "out.jsonl.partial")
    (tmp_path / "out.jsonl.partial").write_bytes(first[0] + first[1][:20])
    (tmp_path / "out.jsonl.partial.json").write_bytes(msgspec.json.encode(BatchHead(1, package.digest, "onnx-float32", inputs)))
    result = run(tmp_path, *common)
    assert "going on after 1 answers" in result.stderr
    assert [line["label"] for line in answers(output)] == ["red", "green", "blue"]
    assert output.read_bytes().startswith(first[0])


def test_going_on_with_another_batch_is_refused(package: Package, images: Path, tmp_path: Path) -> None:
    common = (str(package.folder), str(images), "--insecure-skip-signature", "--output", str(tmp_path / "out.jsonl"))
    inputs = plan_batch([images], ModelSpec.of(package.manifest)).fingerprint()
    good = BatchHead(1, package.digest, "onnx-float32", inputs)
    (tmp_path / "out.jsonl.partial").write_text('{"input":"a.png"}\n')
    for changes, words in (
        ({"digest": "0" * 64}, "begun with another package"),
        ({"variant": "litert-float32"}, "begun with another variant"),
        ({"inputs": "0"}, "begun with other inputs"),
        ({}, "does not fit these inputs"),
    ):
        (tmp_path / "out.jsonl.partial.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(good, **changes)))
        result = run(tmp_path, *common, "--resume")
        assert result.exit_code == 1
        assert words in result.stderr
    (tmp_path / "out.jsonl.partial.json").unlink()
    assert "does not say which batch" in run(tmp_path, *common, "--resume").stderr
    anew = run(tmp_path, *common)
    assert anew.exit_code == 0
    assert "is begun anew" in anew.stderr
    assert len(answers(tmp_path / "out.jsonl")) == 3
    assert run(tmp_path, *common[:-2], "--resume").exit_code == 2


def test_parquet_rows_get_the_answers_of_the_same_csv_rows_and_of_the_endpoint(visitors: Package, table: Path, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [(float(n - 30), "Köln" if n % 2 else "Bonn") for n in range(ROWS) if n % 17 != 5]
    columns = {"more": [1] * len(rows), "city": [city for _, city in rows], "age": [age for age, _ in rows]}
    parquet.write_table(arrow.table(columns), tmp_path / "rows.parquet")
    common = (str(visitors.folder), "--insecure-skip-signature", "--json")
    by_csv = [json.loads(line) for line in run(tmp_path, *common, str(table)).stdout.splitlines()]
    by_parquet = [json.loads(line) for line in run(tmp_path, *common, str(tmp_path / "rows.parquet")).stdout.splitlines()]
    assert [line["scores"] for line in by_parquet] == [line["scores"] for line in by_csv if "scores" in line]
    assert by_parquet[0]["input"] == "rows.parquet:1"
    with serving(visitors) as port, closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
        for (age, city), line in list(zip(rows, by_parquet, strict=True))[:5]:
            client.request("POST", "/predict", json.dumps({"age": age, "city": city}), {"Content-Type": "application/json"})
            with client.getresponse() as response:
                assert json.loads(response.read())["scores"] == line["scores"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [({"age": [1.0]}, "has no column city; it has age"), ({"age": [], "city": []}, "has no rows"), (None, "as Parquet")],
)
def test_a_parquet_file_that_does_not_fit_is_said(visitors: Package, tmp_path: Path, columns: dict | None, words: str) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    if columns is None:
        (tmp_path / "rows.parquet").write_bytes(b"PAR1 nothing PAR1")
    else:
        parquet.write_table(arrow.table(columns), tmp_path / "rows.parquet")
    result = run(tmp_path, str(visitors.folder), str(tmp_path / "rows.parquet"), "--insecure-skip-signature")
    assert result.exit_code == 1
    assert words in result.stderr


def test_without_pyarrow_parquet_is_refused_with_what_to_install(
    visitors: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    result = run(tmp_path, str(visitors.folder), str(tmp_path / "rows.parquet"), "--insecure-skip-signature")
    assert "needs the package pyarrow, which is not installed: pip install pyarrow, or give a CSV file" in result.stderr


def test_sounds_are_answered_window_by_window_as_by_the_endpoint(tmp_path: Path, key: PrivateKey) -> None:
    loud = make_sound_package(tmp_path / "loud", key=key)
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "a.wav").write_bytes(make_wav(bytes(400) + b"\x00\x40" * 100))
    (tmp_path / "sounds" / "b.wav").write_bytes(b"no sound")
    (tmp_path / "sounds" / "c.wav").write_bytes(make_wav(b"\x00\x40" * 200))
    result = run(tmp_path, str(loud.folder), str(tmp_path / "sounds"), "--insecure-skip-signature", "--json")
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(Path(line["input"]).name, line.get("label")) for line in lines] == [
        ("a.wav@0.000s", "quiet"),
        ("a.wav@0.200s", "loud"),
        ("b.wav", None),
        ("c.wav@0.000s", "loud"),
    ]
    with serving(loud) as port, closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
        client.request("POST", "/predict", (tmp_path / "sounds" / "c.wav").read_bytes(), {"Content-Type": "audio/wav"})
        with client.getresponse() as response:
            assert json.loads(response.read())["scores"] == lines[3]["scores"]
