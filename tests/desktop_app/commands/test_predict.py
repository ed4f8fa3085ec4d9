import io
from pathlib import Path

from PIL import Image

from contract.signing import generate_key
from tests.desktop_app.commands.studio import Studio
from tests.simulators.packages import make_frames, make_package


def test_a_package_answers_for_images_and_says_what_it_can_not_read(studio: Studio, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", key=generate_key())
    frames, labels = make_frames(3, seed=1)
    for index, frame in enumerate(frames):
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "PNG")
        (tmp_path / f"{index}.png").write_bytes(file.getvalue())
    (tmp_path / "note.png").write_text("text")
    files = [tmp_path / name for name in ("0.png", "1.png", "2.png", "note.png", "absent.png")]
    answered = studio("predict", package.folder, *files, "--json")
    assert answered.code == 0, answered.err
    names = package.manifest.labels
    assert [answer["label"] for answer in answered.json] == [*(names[label] for label in labels), "", ""]
    assert all(answer["error"] for answer in answered.json[3:])
    assert studio("predict", package.folder, tmp_path / "note.png").code == 1
    unknown = studio("predict", package.folder, tmp_path / "0.png", "--variant", "onnx-int3")
    assert (unknown.code, "no variant 'onnx-int3'" in unknown.err) == (1, True)


def test_a_table_is_no_image(studio: Studio, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", key=generate_key())
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,y\n")
    refused = studio("predict", package.folder, tmp_path / "t.csv", "--json")
    assert refused.code == 1
    assert "no column 'frame'" in refused.json[0]["error"]
