import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from transformers import CLIPTokenizer

from balancer.adapting.scratch import captions
from balancer.adapting.scratch.settings import ScratchSettings
from balancer.collection.attributes import Attributes
from balancer.prompting.packs import PACKS as PACKS_THERE_ARE
from balancer.prompting.packs import ClassTemplate, TemplatePack, load_pack
from balancer.prompting.prompts import make_prompt, pack_texts

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


@pytest.fixture(scope="module")
def usual() -> Any:
    """The tokenizer that a training from scratch on one class of one pack gives its checkpoint."""
    return captions.build_tokenizer(*captions.train_vocabulary(PACKS, ScratchSettings().vocabulary))


def words_in_prompts(label: str, pack: TemplatePack) -> list[str]:
    """Every template with every finding of a class; every slot and every patient somewhere, the longest everywhere."""
    longest = max(pack.known["patient"].values(), key=len)
    return [
        *pack_texts(pack, [label]),
        *(make_prompt(pack, label, i, known={"patient": longest}).text for i in range(60)),
        *(make_prompt(pack, label, 0, known={"patient": each}).text for each in pack.known["patient"].values()),
    ]


@pytest.mark.parametrize("name", PACKS_THERE_ARE)
def test_every_packaged_prompt_is_read_whole_whatever_was_trained_on(name: str, usual) -> None:
    pack = load_pack(name)
    for each in pack.classes:
        for prompt in words_in_prompts(each.name, pack):
            tokens = usual(prompt)["input_ids"]
            assert len(tokens) <= captions.MAX_TOKENS, prompt
            assert usual.unk_token_id not in tokens[1:-1], prompt


@pytest.mark.parametrize("name", PACKS_THERE_ARE)
def test_every_word_of_a_packaged_pack_is_one_token(name: str, usual) -> None:
    pack = load_pack(name)
    prompts = {prompt for each in pack.classes for prompt in words_in_prompts(each.name, pack)}
    words = {word for prompt in prompts for word in re.findall("[a-z]+", prompt.lower())}
    assert len(words) > 100
    assert [word for word in sorted(words) if len(usual(word, add_special_tokens=False)["input_ids"]) != 1] == []


@pytest.mark.parametrize("name", PACKS_THERE_ARE)
def test_three_findings_joined_fit_with_the_longest_template_slots_and_patient(name: str, usual) -> None:
    pack = load_pack(name)

    def size(words: str) -> int:
        return len(usual(words, add_special_tokens=False)["input_ids"])

    longest = sorted((max(each.findings, key=size) for each in pack.classes), key=size)[-3:]
    joined = TemplatePack(
        **{name: getattr(pack, name) for name in pack.__slots__ if name != "classes"},
        classes=(ClassTemplate("joined", (), (" and ".join(longest),)),),
    )
    assert max(len(usual(each)["input_ids"]) for each in words_in_prompts("joined", joined)) <= captions.MAX_TOKENS


def test_merges_are_those_of_a_plain_count_after_each_step() -> None:
    counts = {"rib": 2, "ribs": 1, "ribbons": 3, "aaaa": 5, "aaa": 2}
    words = {(*word[:-1], word[-1] + "</w>"): count for word, count in counts.items()}
    for merge in captions.learn_merges(counts, 100):
        pairs: Counter[tuple[str, str]] = Counter()
        for pieces, count in words.items():
            pairs.update(dict.fromkeys(pairwise(pieces), 0))
            for pair in pairwise(pieces):
                pairs[pair] += count
        assert merge == min(pairs, key=lambda pair: (-pairs[pair], pair))
        words = {captions._joined(pieces, merge): count for pieces, count in words.items()}
    assert {len(pieces) for pieces in words} == {1}
