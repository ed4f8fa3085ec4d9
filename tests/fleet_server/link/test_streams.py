import random

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_server.link.streams import advance, commit_sequence, read_stream, skip_to, write_stream


@settings(max_examples=100, deadline=None)
@given(st.permutations(list(range(1, 13))), st.integers(0, 12))
def test_any_order_ends_without_a_gap_and_never_acknowledges_what_is_missing(order, cut):
    end, ahead, seen = 0, [], set()
    for sequence in [*order[:cut], *order]:  # some come twice
        end, ahead = advance(end, ahead, sequence)
        seen.add(sequence)
        assert set(range(1, end + 1)) <= seen
        assert end + 1 not in seen
    assert (end, ahead) == (12, [])


@given(st.integers(0, 20), st.integers(0, 20), st.sets(st.integers(1, 30)))
def test_what_the_device_no_longer_has_does_not_hold_up_the_rest(first, committed, ahead):
    end, beyond = skip_to(first, committed, ahead)
    assert end >= max(committed, first - 1)
    assert all(sequence > end + 1 for sequence in beyond)
    assert {sequence for sequence in ahead if sequence > end} == set(beyond)


def test_the_database_keeps_what_lies_beyond_a_gap(database, fleet):
    fleet("pi-1")
    order = [1, 4, 2, 5, 3]
    upto = [database.write(lambda connection, n=n: commit_sequence(connection, "pi-1", "s", n)) for n in order]
    assert upto == [1, 1, 2, 2, 5]
    assert database.read(lambda connection: read_stream(connection, "pi-1", "s")) == (5, [])
    assert database.read(lambda connection: read_stream(connection, "pi-1", "other")) == (0, [])


def test_a_long_shuffled_stream_is_committed_whole(database, fleet):
    fleet("pi-1")
    order = list(range(1, 200))
    random.Random(1).shuffle(order)

    def store(connection):
        end = (0, [])
        for sequence in order:
            end = advance(*end, sequence)
        return write_stream(connection, "pi-1", "s", end)

    assert database.write(store) == 199
