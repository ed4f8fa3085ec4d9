import random
from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from desktop_app.data.splits import Member, Shares, apportion, assign_splits, cut, draw_stratified

MEMBERS = st.lists(
    st.builds(Member, st.text("abcdef0123", min_size=2, max_size=3), st.sampled_from("xyz"), st.sampled_from(["", "", "train", "test"])),
    max_size=60,
)


def some(count: int, label: str) -> list[Member]:
    return [Member(f"{label}{number:04d}", label) for number in range(count)]


@given(MEMBERS, st.integers(0, 5), st.randoms())
def test_order_does_not_matter_and_every_group_has_one_split(members: list[Member], seed: int, shuffler: random.Random) -> None:
    shuffled = list(members)
    shuffler.shuffle(shuffled)
    splits = assign_splits(members, seed=seed)
    assert splits == assign_splits(shuffled, seed=seed)
    assert splits.keys() == {member.group for member in members}
    assert set(splits.values()) <= {"train", "validation", "test"}


def test_shares_hold_for_each_class() -> None:
    members = some(200, "cat") + some(40, "dog")
    splits = assign_splits(members, seed=3)
    counts = Counter((member.label, splits[member.group]) for member in members)
    assert counts == {
        ("cat", "train"): 140,
        ("cat", "validation"): 30,
        ("cat", "test"): 30,
        ("dog", "train"): 28,
        ("dog", "validation"): 6,
        ("dog", "test"): 6,
    }


def test_another_seed_gives_other_splits() -> None:
    members = some(100, "cat")
    assert assign_splits(members, seed=1) != assign_splits(members, seed=2)


def test_a_new_sample_hardly_moves_the_others() -> None:
    old = assign_splits(some(200, "cat"), seed=0)
    new = assign_splits([*some(200, "cat"), Member("new", "cat")], seed=0)
    assert sum(old[group] != new[group] for group in old) <= 2


def test_copies_stay_in_one_split_and_count_by_their_number() -> None:
    members = [Member("many", "cat")] * 50 + some(50, "cat")
    splits = assign_splits(members, seed=0)
    assert len({splits[member.group] for member in members if member.group == "many"}) == 1


def test_given_splits_are_kept_and_the_missing_one_is_cut_from_training() -> None:
    members = [m._replace(given="train") for m in some(100, "cat")] + [m._replace(given="test") for m in some(20, "dog")]
    splits = assign_splits(members, seed=0)
    assert all(splits[m.group] == "test" for m in members if m.label == "dog")
    assert Counter(splits[m.group] for m in members if m.label == "cat") == {"train": 82, "validation": 18}


def test_all_given_splits_are_left_as_they_are() -> None:
    members = [Member(f"{split}{n}", "cat", split) for split in ("train", "validation", "test") for n in range(5)]
    assert assign_splits(members, seed=0) == {member.group: member.given for member in members}


def test_content_given_to_two_splits_protects_the_test() -> None:
    assert assign_splits([Member("a", "cat", "train"), Member("a", "cat", "test"), Member("b", "cat", "validation")])["a"] == "test"


def test_small_classes_are_cut_with_care() -> None:
    assert cut([1], Shares()) == ["train"]
    assert cut([1, 1], Shares()) == ["train", "train"]
    assert sorted(cut([1, 1, 1], Shares())) == ["test", "train", "validation"]
    assert cut([1] * 10, Shares(1.0, 0.0, 0.0)) == ["train"] * 10


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_training_is_never_empty(sizes: list[int]) -> None:
    assert "train" in cut(sizes, Shares())


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 50), max_size=12), st.integers(0, 300))
@example({"0": 4, "1": 1, "00": 1}, 3)
@example({"0": 0, "1": 3}, 1)
def test_quotas_add_up_and_fit(sizes: dict[str, int], count: int) -> None:
    quotas = apportion(sizes, count)
    assert sum(quotas.values()) == min(count, sum(sizes.values()))
    assert all(0 <= quotas[name] <= sizes[name] for name in sizes)
    if count >= sum(size > 0 for size in sizes.values()):
        assert all(quotas[name] for name in sizes if sizes[name])


@given(MEMBERS, st.integers(0, 40), st.integers(0, 3), st.randoms())
def test_a_draw_is_the_same_in_any_order_and_leaves_what_must_stay(
    members: list[Member], count: int, keep: int, shuffler: random.Random
) -> None:
    shuffled = list(members)
    shuffler.shuffle(shuffled)
    drawn = draw_stratified(members, count, seed=1, purpose="acceptance", keep=keep)
    assert drawn == draw_stratified(shuffled, count, seed=1, purpose="acceptance", keep=keep)
    assert sum(member.group in drawn for member in members) <= count


def test_a_draw_follows_the_classes() -> None:
    members = some(600, "cat") + some(300, "dog") + some(100, "owl")
    drawn = draw_stratified(members, 100, seed=0, purpose="acceptance")
    assert Counter(member.label for member in members if member.group in drawn) == {"cat": 60, "dog": 30, "owl": 10}
