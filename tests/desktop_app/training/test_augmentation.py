import torch

from desktop_app.training.augmentation import augment
from desktop_app.training.recipe import Augmentation


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dots(count: int = 64) -> torch.Tensor:
    """Black pictures 20 x 20 with one white dot in the middle."""
    images = torch.zeros(count, 20, 20, 3, dtype=torch.uint8)
    images[:, 10, 10] = 255
    return images


def test_a_shift_stays_within_its_share_and_goes_everywhere() -> None:
    shifted = augment(dots(), Augmentation(shift_share=0.1), generator())
    places = shifted[..., 0].nonzero()
    assert shifted.dtype == torch.uint8
    assert len(places) == 64
    assert (places[:, 1:] - 10).abs().max() == 2
    assert len({tuple(place) for place in places[:, 1:].tolist()}) > 15


def test_nothing_is_mirrored_unless_asked_for() -> None:
    images = torch.zeros(64, 4, 6, 3, dtype=torch.uint8)
    images[:, :, 0] = 9
    assert torch.equal(augment(images, Augmentation(shift_share=0.0), generator()), images)
    flipped = augment(images, Augmentation(shift_share=0.0, flip=True), generator())
    moved = (flipped[:, 0, 5, 0] == 9).sum().item()
    assert 16 < moved < 48
    assert (flipped.sum(dim=(1, 2, 3)) == images.sum(dim=(1, 2, 3))).all()


def test_the_generator_decides_everything() -> None:
    settings = Augmentation(shift_share=0.2, flip=True)
    noise = torch.randint(0, 255, (16, 8, 8, 3), dtype=torch.uint8, generator=generator(5))
    assert torch.equal(augment(noise, settings, generator(1)), augment(noise, settings, generator(1)))
    assert not torch.equal(augment(noise, settings, generator(1)), augment(noise, settings, generator(2)))
