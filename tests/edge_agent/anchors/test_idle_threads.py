"""Between inferences the runtime's threads sleep: a session that spins burns whole cores for nothing."""

from edge_agent.engine.onnx_session import _session_options


def test_no_session_spins() -> None:
    for threads in (1, 4):
        options = _session_options(threads)
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
        assert options.get_session_config_entry("session.inter_op.allow_spinning") == "0"
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)
