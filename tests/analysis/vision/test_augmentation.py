import pytest
import torch

from analysis.vision.augmentation import Augmentation, augment


def images(count=3):
    ramp = torch.linspace(0.2, 0.8, 16).view(1, 1, 1, 16)
    return ramp.expand(count, 1, 16, 16).contiguous()


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def only(**settings):
    return Augmentation(
        **{**dict.fromkeys(("rotation", "shift", "zoom", "contrast", "brightness", "noise"), 0.0)} | settings
    )


def test_equal_seeds_change_alike_and_other_seeds_otherwise():
    assert torch.equal(augment(images(), Augmentation(), chance()), augment(images(), Augmentation(), chance()))
    assert not torch.equal(augment(images(), Augmentation(), chance()), augment(images(), Augmentation(), chance(1)))


def test_each_image_changes_in_its_own_way():
    changed = augment(images(), Augmentation(), chance())
    assert not torch.allclose(changed[0], changed[1], atol=1e-3)


@pytest.mark.parametrize("settings", [Augmentation(), Augmentation.strong(), only(noise=0.5), only(brightness=0.9)])
def test_values_stay_between_black_and_white(settings):
    changed = augment(images(20), settings, chance())
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1


def test_brightness_alone_shifts_every_pixel_alike():
    shift = augment(images(), only(brightness=0.1), chance()) - images()
    assert torch.allclose(shift.amax(dim=(1, 2, 3)), shift.amin(dim=(1, 2, 3)), atol=1e-5)
    assert 0 < float(shift.abs().max()) <= 0.1


def test_contrast_alone_keeps_the_mean():
    changed = augment(images(), only(contrast=0.2), chance())
    assert torch.allclose(changed.mean(dim=(1, 2, 3)), images().mean(dim=(1, 2, 3)), atol=1e-5)
    assert not torch.allclose(changed, images(), atol=1e-3)


def test_only_a_flip_that_was_asked_for_turns_sides_round():
    flipped = augment(images(20), only(flip=True), chance())
    rising = flipped[:, 0, 0, -1] > flipped[:, 0, 0, 0]
    assert 0 < int(rising.sum()) < 20
    usual = augment(images(20), Augmentation.strong(), chance())
    assert bool((usual[:, 0, 8, -1] > usual[:, 0, 8, 0]).all())
