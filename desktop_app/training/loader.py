"""The one loader for training: one order per (seed, epoch), and it saves its place.

A plain `DataLoader` shuffles anew after a resume, so samples are seen twice or never in that epoch,
silently. With this loader a resumed run sees the same batches as one that was never interrupted.
"""

from collections.abc import Iterator

import numpy as np
import torch

Batch = tuple[torch.Tensor, torch.Tensor]


class Order:
    """One permutation of `count` samples per (seed, epoch); Lightning calls `set_epoch`."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0."""
        self.epoch = epoch

    def indices(self) -> np.ndarray:
        """This epoch's order, int64 (count,)."""
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.count)


class FixedOrder(Order):
    """The samples as they lie, in every epoch: for validation."""

    def indices(self) -> np.ndarray:
        """0 to `count` - 1."""
        return np.arange(self.count)


class Batches:
    """Batches of samples that lie in memory (or in a memory map), in a fresh order per epoch.

    Yields (samples (B, ...) of the array's dtype, labels int64 (B,)). All batches of an epoch have
    nearly the same length, at most `batch_size`, so that batch norm never sees a batch of one.
    """

    def __init__(self, samples: np.ndarray, labels: np.ndarray, order: Order, batch_size: int) -> None:
        self._samples = samples
        self._labels = labels
        self.sampler = order  # where Lightning finds `set_epoch`
        self.batch_sampler = None  # it looks here too
        self._length = max(1, -(-order.count // batch_size))
        self._done = 0

    def __len__(self) -> int:
        """Batches of one epoch."""
        return self._length

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the epoch from the saved place on."""
        pieces = np.array_split(self.sampler.indices(), self._length)
        first = self._done
        for number, indices in enumerate(pieces[first:], first + 1):
            self._done = number % self._length
            yield torch.from_numpy(np.asarray(self._samples[indices])), torch.from_numpy(self._labels[indices])
        self._done = 0

    def state_dict(self) -> dict[str, int]:
        """The place in the epoch; Lightning saves it in each checkpoint."""
        return {"done": self._done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a saved place."""
        self._done = int(state["done"]) % self._length
