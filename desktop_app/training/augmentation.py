"""Small variations of training images, decided by a generator so that a resumed run repeats them."""

import torch

from desktop_app.training.recipe import Augmentation


def augment(images: torch.Tensor, settings: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Shift and, if asked for, mirror each image on its own.

    Args:
        images: (N, h, w, 3), any dtype.
        settings: how far and whether.
        generator: all randomness comes from here.

    Returns:
        A new tensor of the same shape and dtype.
    """
    if settings.flip:
        images = _flip(images, generator)
    if settings.shift_share > 0:
        images = _shift(images, settings.shift_share, generator)
    return images


def _flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    chosen = torch.rand(len(images), generator=generator) < 0.5  # noqa: PLR2004
    return torch.where(chosen[:, None, None, None], images.flip(2), images)


def _shift(images: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    count, height, width, _ = images.shape
    down, across = round(share * height), round(share * width)
    offsets_y = torch.randint(-down, down + 1, (count, 1), generator=generator)
    offsets_x = torch.randint(-across, across + 1, (count, 1), generator=generator)
    rows = (torch.arange(height) + offsets_y).clamp(0, height - 1)
    columns = (torch.arange(width) + offsets_x).clamp(0, width - 1)
    return images[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
