"""Words: a byte-pair vocabulary trained on the prompts, the captions of a batch, and the text encoder."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from balancer.adapting.scratch.settings import ScratchSettings
from balancer.collection.attributes import Attributes
from balancer.prompting.packs import PACKS, Packs, load_pack
from balancer.prompting.prompts import make_prompt, pack_texts

MAX_TOKENS = 77
"""What every checkpoint reads, as CLIP does: a prompt of any packaged pack fits, whatever it was trained on."""
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")
_WORD_END = "</w>"


def train_vocabulary(
    packs: Packs, size: int, known: Collection[Attributes] = ()
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A byte-pair vocabulary of at most `size` entries and its merges (Sennrich et al. 2016).

    It is learned from all prompts of `packs` and from the packaged packs, so that a checkpoint reads in as few tokens
    what it was not trained on. Every byte is in it, alone and at a word's end, so that any text can be read; the two
    special words come last, as CLIP has them: its pooling takes the highest id for the end of the text.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    singles = [*letters, *(letter + _WORD_END for letter in letters)]
    merges = learn_merges(_count_words(packs, known), size - len(singles) - len(_SPECIAL))
    words = dict.fromkeys([*singles, *(left + right for left, right in merges), *_SPECIAL])
    return {word: i for i, word in enumerate(words)}, merges


def learn_merges(counts: Mapping[str, int], limit: int) -> list[tuple[str, str]]:
    """The pairs to join, most frequent first, until there are `limit` or every word is one piece.

    Written here since the `tokenizers` library breaks ties differently from run to run.

    >>> learn_merges({"rib": 2, "ribs": 1}, 2)
    [('r', 'i'), ('ri', 'b</w>')]
    """
    words = {word: (*word[:-1], word[-1] + _WORD_END) for word in counts}
    often: Counter[tuple[str, str]] = Counter()
    holders: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    queue: list[tuple[int, tuple[str, str]]] = []  # counts that have changed since are passed over

    def count(word: str, sign: int) -> None:
        for pair in pairwise(words[word]):
            often[pair] += sign * counts[word]
            holders[pair].add(word)
            heappush(queue, (-often[pair], pair))

    for word in words:
        count(word, 1)
    merges: list[tuple[str, str]] = []
    while queue and len(merges) < limit:
        found, pair = heappop(queue)
        if found and -found == often[pair]:
            merges.append(pair)
            for word in holders.pop(pair):
                count(word, -1)
                words[word] = _joined(words[word], pair)
                count(word, 1)
    return merges


def _joined(pieces: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    joined: list[str] = []
    for piece in pieces:
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)


def _count_words(packs: Packs, known: Collection[Attributes]) -> Counter[str]:
    """How often each word stands in the prompts, split exactly as the tokenizer will split it."""
    plain = CLIPTokenizer().backend_tokenizer
    counts: Counter[str] = Counter()
    for text in (*texts(packs, known), *packaged_texts()):
        clean = plain.normalizer.normalize_str(text)
        counts.update(word for word, _ in plain.pre_tokenizer.pre_tokenize_str(clean))
    return counts


def texts(packs: Packs, known: Collection[Attributes] = ()) -> Iterator[str]:
    """Texts that hold every word of every label's prompts, and of what is `known` of images."""
    for label, pack in packs.items():
        yield from pack_texts(pack, [label])
        yield from (make_prompt(pack, label, 0, known=pack.words(each)).text for each in known)


def packaged_texts() -> Iterator[str]:
    """Texts that hold every word of the packaged packs: all classes by all their names, and what tables can tell."""
    for pack in map(load_pack, PACKS):
        yield from pack_texts(pack, [each.name for each in pack.classes])
        yield from (name for each in pack.classes for name in (each.name, *each.synonyms))
        yield from (wording for wordings in pack.known.values() for wording in wordings.values())


def build_tokenizer(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]], length: int = MAX_TOKENS) -> Any:
    """The `CLIPTokenizer` of a vocabulary; it reads `length` tokens."""
    return CLIPTokenizer(vocab=dict(vocabulary), merges=list(merges), model_max_length=length)


def save_vocabulary(tokenizer: Any, folder: Path) -> None:
    """Write `vocab.json` and `merges.txt` beside the `tokenizer.json` that the library writes itself."""
    tokenizer.backend_tokenizer.model.save(str(folder))


def build_text_encoder(settings: ScratchSettings, tokenizer: Any) -> Any:
    """A small `CLIPTextModel`; (N, length) tokens give (N, length, text_width)."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.text_width,
        intermediate_size=4 * settings.text_width,
        projection_dim=settings.text_width,
        num_hidden_layers=settings.text_layers,
        num_attention_heads=max(1, settings.text_width // 32),
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def draw_captions(
    packs: Packs,
    labels: Sequence[str],
    step: int,
    settings: ScratchSettings,
    known: Sequence[Attributes] | None = None,
) -> list[str]:
    """A caption for each image of a batch, another each time the image is seen.

    `known` is what is known of each image: its caption says that, and what is not known is drawn.

    A share of them is dropped, half to nothing and half to the pack's negative text: guidance starts from
    either, so both must mean "any radiograph".
    """
    chance = random.Random(f"{settings.seed}/captions/{step}")
    first = step * settings.batch_size
    captions = []
    for place, label in enumerate(labels):
        words = None if known is None else packs[label].words(known[place])
        prompt = make_prompt(packs[label], label, first + place, settings.seed, words)
        dropped, to_negative = chance.random() < settings.caption_dropout, chance.random() < 0.5
        captions.append(prompt.text if not dropped else prompt.negative if to_negative else "")
    return captions


def tokenize(tokenizer: Any, captions: Sequence[str]) -> Tensor:
    """Token ids, (N, length), padded exactly as `StableDiffusionPipeline` does."""
    length = tokenizer.model_max_length
    rows = tokenizer(list(captions), padding="max_length", max_length=length, truncation=True)["input_ids"]
    return torch.tensor(rows)
