import numpy as np
import pytest

from converters.preprocessing import host_steps, resized
from edge_agent.engine.host_steps import build_steps


@pytest.mark.parametrize("size", [(37, 53), (16, 16), (8, 120), (200, 11)])
def test_the_graph_and_the_host_step_resize_alike_within_one_level(size):
    frame = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    (graph,) = resized([frame], (16, 24))
    host = build_steps(host_steps((16, 24)))[0](frame).reshape(1, 16, 24, 3)
    assert graph.shape == (1, 16, 24, 3)
    assert graph.dtype == np.uint8
    assert np.max(np.abs(graph.astype(int) - host.astype(int))) <= 1


def test_a_frame_of_the_right_size_is_left_as_it_is():
    frame = np.random.default_rng(2).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    (found,) = resized([frame], (16, 16))
    assert np.array_equal(found[0], frame)
