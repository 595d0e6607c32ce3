import pytest

from balancer.adapting.scratch.settings import ScratchSettings
from balancer.errors import ModelError


def test_steps_and_minutes_together_are_refused() -> None:
    with pytest.raises(ModelError, match="both: 10 steps and 5 minutes"):
        ScratchSettings(steps=10, minutes=5)


def test_a_size_the_networks_cannot_halve_is_refused_and_the_nearest_named() -> None:
    with pytest.raises(ModelError, match="multiple of 16 pixels") as caught:
        ScratchSettings(size=60)
    assert caught.value.next_step == "use --size 64"


@pytest.mark.parametrize("wrong", [{"steps": 1}, {"minutes": 0.0}, {"batch_size": 0}, {"sample_every": 0.0}])
def test_useless_numbers_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ModelError):
        ScratchSettings(**wrong)


def test_a_latent_cell_covers_four_pixels_and_eight_of_large_pictures() -> None:
    assert [ScratchSettings(size=size).factor for size in (64, 128, 256)] == [4, 4, 8]


def test_the_autoencoder_takes_its_share_and_leaves_one_step_at_least() -> None:
    assert ScratchSettings(steps=10, autoencoder_share=0.2).autoencoder_steps == 2
    assert ScratchSettings(steps=2, autoencoder_share=0.9).autoencoder_steps == 1
    assert ScratchSettings(minutes=3).autoencoder_steps is None


def test_settings_become_plain_json() -> None:
    assert ScratchSettings(unet_channels=(32, 64)).to_json()["unet_channels"] == [32, 64]
