from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from balancer.adapt import text
from balancer.adapt.settings import ScratchSettings
from balancer.attributes import Attributes
from balancer.prompts import load_pack, make_prompt

PACKS = {"nodule": load_pack("chest"), "odd_name": load_pack("chest")}


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return text.build_tokenizer(*text.train_vocabulary(PACKS, 900))


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
    assert text.train_vocabulary(PACKS, 900) == text.train_vocabulary(PACKS, 900)


def test_a_saved_tokenizer_reads_alike(tokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    text.save_vocabulary(tokenizer, tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert {"vocab.json", "merges.txt"} <= {path.name for path in tmp_path.iterdir()}
    assert loaded("a nodule")["input_ids"] == tokenizer("a nodule")["input_ids"]
    assert loaded.model_max_length == text.MAX_TOKENS


def test_tokens_are_padded_to_77(tokenizer) -> None:
    assert text.tokenize(tokenizer, ["", "a nodule"]).shape == (2, 77)


def test_a_tenth_of_the_captions_is_dropped_to_nothing_or_to_the_negative_text() -> None:
    settings = ScratchSettings(batch_size=2000)
    captions = text.draw_captions(PACKS, ["nodule"] * 2000, 0, settings)
    negative = PACKS["nodule"].negative
    assert 60 < captions.count("") < 140
    assert 60 < captions.count(negative) < 140
    assert captions[:20] == text.draw_captions(PACKS, ["nodule"] * 2000, 0, settings)[:20]
    assert captions != text.draw_captions(PACKS, ["nodule"] * 2000, 1, settings)


def test_each_caption_says_what_is_known_of_its_own_image() -> None:
    settings = ScratchSettings(batch_size=400, caption_dropout=1e-9)
    girl, unknown = Attributes("female", "5-17", "AP"), Attributes()
    plain = text.draw_captions(PACKS, ["nodule"] * 400, 0, settings)
    captions = text.draw_captions(PACKS, ["nodule"] * 400, 0, settings, [girl, unknown] * 200)
    assert all("radiograph of a girl" in each and "AP projection" in each for each in captions[::2])
    assert captions[1::2] == plain[1::2]  # what is not known is drawn as ever
    views = [sum(view in each for each in captions[1::2]) for view in ("frontal", "PA projection", "AP projection")]
    assert max(views) - min(views) < 30


def test_the_vocabulary_knows_the_words_of_what_is_known() -> None:
    known = [Attributes("female", "65+", "lateral")]
    assert not any("elderly" in each for each in text.texts(PACKS))
    assert any("elderly woman" in each and "lateral projection" in each for each in text.texts(PACKS, known))
    assert text.train_vocabulary(PACKS, 900) == text.train_vocabulary(PACKS, 900, [])


def test_the_length_has_room_for_half_as_much_again_and_ends_at_clips(tokenizer) -> None:
    longest = max(len(tokenizer(each)["input_ids"]) for each in text.texts(PACKS))
    length = text.fitting_length(tokenizer, PACKS)
    assert length % 8 == 0
    assert 1.5 * longest <= length < 1.5 * longest + 8
    shorter = text.build_tokenizer(tokenizer.get_vocab(), [], length)
    assert text.tokenize(shorter, ["a chest"]).shape == (1, length)
    assert text.fitting_length(lambda _: {"input_ids": range(60)}, PACKS) == 77
