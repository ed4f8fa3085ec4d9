import itertools

import numpy as np
import pytest
import torch

from desktop_app.training.loader import Batches, FixedOrder, Order


def make(count: int, batch_size: int, *, seed: int = 3, epoch: int = 0) -> Batches:
    order = Order(count, seed)
    order.set_epoch(epoch)
    return Batches(np.arange(count, dtype=np.uint8).reshape(-1, 1), np.arange(count, dtype=np.int64), order, batch_size)


def seen(batches: Batches) -> list[list[int]]:
    return [labels.tolist() for _, labels in batches]


@pytest.mark.parametrize(("count", "batch_size", "lengths"), [(10, 4, [4, 3, 3]), (9, 8, [5, 4]), (3, 8, [3]), (8, 4, [4, 4]), (1, 4, [1])])
def test_batches_are_nearly_equal_and_hold_each_sample_once(count, batch_size, lengths) -> None:
    batches = make(count, batch_size)
    found = seen(batches)
    assert [len(batch) for batch in found] == lengths
    assert len(batches) == len(lengths)
    assert sorted(itertools.chain(*found)) == list(range(count))


def test_samples_and_labels_stay_together() -> None:
    for samples, labels in make(50, 7):
        assert samples.dtype == torch.uint8
        assert samples[:, 0].tolist() == labels.tolist()


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert seen(make(30, 8)) == seen(make(30, 8))
    assert seen(make(30, 8)) != seen(make(30, 8, epoch=1))
    assert seen(make(30, 8)) != seen(make(30, 8, seed=4))


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_a_saved_place_goes_on_with_the_next_batch(stop) -> None:
    straight = seen(make(30, 8))
    first = make(30, 8)
    iterator = iter(first)
    for _ in range(stop):
        next(iterator)
    second = make(30, 8)
    second.load_state_dict(first.state_dict())
    assert seen(second) == straight[stop:]


def test_at_the_end_of_an_epoch_the_place_is_its_beginning() -> None:
    batches = make(30, 8)
    seen(batches)
    assert batches.state_dict() == {"done": 0}
    iterator = iter(batches)
    for _ in range(len(batches)):
        next(iterator)  # all batches, but the end was not asked for
    assert batches.state_dict() == {"done": 0}


def test_the_fixed_order_is_as_the_samples_lie() -> None:
    batches = Batches(np.zeros((5, 1), np.uint8), np.arange(5), FixedOrder(5, 0), 2)
    assert list(itertools.chain(*seen(batches))) == [0, 1, 2, 3, 4]
