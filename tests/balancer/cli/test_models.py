"""Which models are at hand, and the autoencoder of the one that drew the images of a balanced folder."""

import pytest

from analysis.vision.reconstruction import autoencoder_of
from balancer.errors import ModelError
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.workspace.models import models_at_hand
from balancer.workspace.workspace import Session
from tests.support.study_fixtures import drawn_by, filled, place_of, write_adapter


@pytest.fixture
def place(tmp_path, checkpoint):
    found = place_of(tmp_path)
    filled(found, change=drawn_by(find_checkpoint(str(checkpoint)).ref, write_adapter(found, [], "lora")))
    yield found
    found.ledger.__exit__(None, None, None)


def at_hand(place):
    return models_at_hand(
        Session(place.state, place.ledger, place.collection, place.split),
        place.model if hasattr(place, "model") else None,
    )


def autoencoder(place, places, model=None):
    return autoencoder_of(place.out, places, "cpu", lambda done, total: None, model)


def test_the_model_that_the_last_fill_named_is_at_hand(place, checkpoint):
    assert at_hand(place) == [str(place.state.adapters / "lora")]
    place.ledger.save_setting(place.collection, "asked of fill", {"model": str(checkpoint)})
    assert at_hand(place) == [str(place.state.adapters / "lora"), str(checkpoint)]
    assert autoencoder(place, at_hand(place)) is not None


def test_the_base_of_an_adapter_is_at_hand(place, checkpoint):
    place.ledger.save_setting(place.collection, "base of lora", {"place": str(checkpoint)})
    assert at_hand(place) == [str(place.state.adapters / "lora"), str(checkpoint)]


def test_what_drew_none_of_the_images_is_no_autoencoder_of_theirs(place, tmp_path):
    assert autoencoder(place, at_hand(place)) is None  # an adapter has none
    assert autoencoder(place, [str(tmp_path / "gone")]) is None
    with pytest.raises(ModelError):
        autoencoder(place, [], str(tmp_path / "gone"))
