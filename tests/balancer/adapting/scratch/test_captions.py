from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from balancer.adapting.scratch import captions
from balancer.adapting.scratch.settings import ScratchSettings
from balancer.collection.attributes import Attributes
from balancer.prompting.packs import load_pack
from balancer.prompting.prompts import make_prompt

PACKS = {"nodule": load_pack("chest"), "odd_name": load_pack("chest")}


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return captions.build_tokenizer(*captions.train_vocabulary(PACKS, 900))


def test_a_prompt_is_read_in_few_tokens_and_comes_back(tokenizer) -> None:
    prompt = make_prompt(PACKS["nodule"], "nodule", 0).text
    tokens = tokenizer(prompt)["input_ids"]
    assert len(tokens) <= 40
    assert tokenizer.decode(tokens, skip_special_tokens=True).replace(" ", "") == prompt.lower().replace(" ", "")


def test_any_text_can_be_read(tokenizer) -> None:
    assert tokenizer.unk_token_id not in tokenizer("Größe 7 zebra", add_special_tokens=False)["input_ids"]


def test_the_end_has_the_highest_number_as_the_pooling_of_clip_wants(tokenizer) -> None:
    assert tokenizer.eos_token_id == len(tokenizer) - 1
    assert tokenizer.bos_token_id == len(tokenizer) - 2


def test_vocabulary_training_is_deterministic() -> None:
    assert captions.train_vocabulary(PACKS, 900) == captions.train_vocabulary(PACKS, 900)


def test_a_saved_tokenizer_reads_alike(tokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    captions.save_vocabulary(tokenizer, tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert {"vocab.json", "merges.txt"} <= {path.name for path in tmp_path.iterdir()}
    assert loaded("a nodule")["input_ids"] == tokenizer("a nodule")["input_ids"]
    assert loaded.model_max_length == captions.MAX_TOKENS


def test_tokens_are_padded_to_77(tokenizer) -> None:
    assert captions.tokenize(tokenizer, ["", "a nodule"]).shape == (2, 77)


def test_a_tenth_of_the_captions_is_dropped_to_nothing_or_to_the_negative_text() -> None:
    settings = ScratchSettings(batch_size=2000)
    found = captions.draw_captions(PACKS, ["nodule"] * 2000, 0, settings)
    negative = PACKS["nodule"].negative
    assert 60 < found.count("") < 140
    assert 60 < found.count(negative) < 140
    assert found[:20] == captions.draw_captions(PACKS, ["nodule"] * 2000, 0, settings)[:20]
    assert found != captions.draw_captions(PACKS, ["nodule"] * 2000, 1, settings)


def test_each_caption_says_what_is_known_of_its_own_image() -> None:
    settings = ScratchSettings(batch_size=400, caption_dropout=1e-9)
    girl, unknown = Attributes("female", "5-17", "AP"), Attributes()
    plain = captions.draw_captions(PACKS, ["nodule"] * 400, 0, settings)
    found = captions.draw_captions(PACKS, ["nodule"] * 400, 0, settings, [girl, unknown] * 200)
    assert all("radiograph of a girl" in each and "AP projection" in each for each in found[::2])
    assert found[1::2] == plain[1::2]  # what is not known is drawn as ever
    views = [sum(view in each for each in found[1::2]) for view in ("frontal", "PA projection", "AP projection")]
    assert max(views) - min(views) < 30


def test_the_vocabulary_knows_the_words_of_what_is_known() -> None:
    known = [Attributes("female", "65+", "lateral")]
    assert not any("elderly" in each for each in captions.texts(PACKS))
    assert any("elderly woman" in each and "lateral projection" in each for each in captions.texts(PACKS, known))
    assert captions.train_vocabulary(PACKS, 900) == captions.train_vocabulary(PACKS, 900, [])


def test_the_length_has_room_for_half_as_much_again_and_ends_at_clips(tokenizer) -> None:
    longest = max(len(tokenizer(each)["input_ids"]) for each in captions.texts(PACKS))
    length = captions.fitting_length(tokenizer, PACKS)
    assert length % 8 == 0
    assert 1.5 * longest <= length < 1.5 * longest + 8
    shorter = captions.build_tokenizer(tokenizer.get_vocab(), [], length)
    assert captions.tokenize(shorter, ["a chest"]).shape == (1, length)
    assert captions.fitting_length(lambda _: {"input_ids": range(60)}, PACKS) == 77
