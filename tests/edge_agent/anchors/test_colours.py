"""From a red picture to grey: 0.299 of full red is 76; whoever takes blue for red gets 29."""

import io

import numpy as np
import pytest
from PIL import Image

from contract.manifest import HostStep
from edge_agent.engine.decoding import decode_image
from edge_agent.engine.host_steps import build_steps

RED = Image.new("RGB", (8, 8), (255, 0, 0))


def as_file(picture: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [as_file(RED, "PNG"), as_file(RED, "BMP"), as_file(RED.convert("P"), "GIF"), as_file(RED.convert("RGBA"), "PNG")],
    ids=["png", "bmp", "palette", "with-alpha"],
)
def test_red_is_76_in_grey_from_every_way_in(data: bytes) -> None:
    frame = decode_image(data)
    assert frame.shape == (8, 8, 3)
    assert (frame == np.array([255, 0, 0], np.uint8)).all()
    (grey,) = build_steps([HostStep("colour", {"order": "GREY"})])
    assert np.unique(grey(frame)).tolist() == [76]
    (swapped,) = build_steps([HostStep("colour", {"order": "BGR"})])
    assert (swapped(frame)[0, 0] == [0, 0, 255]).all(), "the order changes only where a manifest says so"
