import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_server.broker.subscriptions import FilterTree, filter_matches, is_valid_filter, is_valid_topic

LEVELS = st.sampled_from(["a", "b", "", "$x"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = st.lists(LEVELS | st.just("+"), min_size=1, max_size=4).flatmap(
    lambda levels: st.sampled_from(["/".join(levels), "/".join([*levels, "#"])]).filter(bool)
)


@given(st.lists(st.tuples(FILTERS, st.integers(0, 3)), max_size=12), st.lists(st.integers(0, 11), max_size=6), TOPICS)
@settings(max_examples=200, deadline=None)
def test_the_tree_finds_what_comparing_each_filter_finds(added, removed, topic):
    tree, kept = FilterTree(), {}
    for topic_filter, owner in added:
        tree.add(topic_filter, owner, topic_filter)
        kept[topic_filter, owner] = topic_filter
    for index in removed:
        if index < len(added):
            tree.remove(*added[index])
            kept.pop(added[index], None)
    expected = sorted((owner, found) for (found, owner) in kept if filter_matches(found, topic))
    assert sorted(tree.find(topic)) == expected


@given(st.lists(st.tuples(FILTERS, st.integers(0, 3)), max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_tree_that_is_emptied_keeps_no_branch(added):
    tree = FilterTree()
    for topic_filter, owner in added:
        tree.add(topic_filter, owner, 1)
    for topic_filter, owner in added:
        tree.remove(topic_filter, owner)
    assert tree._root.children == {}


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("+/b", "a/b", True),
        ("+", "a/b", False),
        ("a/+", "a/", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a", "A", False),
    ],
)
def test_filters_match_as_the_standard_says(topic_filter, topic, expected):
    assert filter_matches(topic_filter, topic) == expected


def test_wildcards_stand_for_whole_levels():
    assert all(map(is_valid_filter, ["#", "+", "a/+/b", "a/#", "/", "+/+/#"]))
    assert not any(map(is_valid_filter, ["", "a#", "#/a", "a+", "+a/b", "a/#/b", "a\0", "x" * 1025, "a/" * 33]))
    assert is_valid_topic("a/b")
    assert not any(map(is_valid_topic, ["", "a/+", "#", "$SYS", "a\0", "é" * 600]))
