"""Captions of the training images, drawn once, and what the text encoders make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from balancer.adapting.common.train_state import load_tensors
from balancer.adapting.scratch.captions import draw_captions
from balancer.adapting.scratch.settings import ScratchSettings
from balancer.collection.attributes import Attributes
from balancer.collection.scan import Sample
from balancer.errors import PromptError
from balancer.files import write_whole
from balancer.prompting.packs import Packs

MOST_VARIANTS = 16
MOST_TEXTS = 4096
_AT_ONCE = 16
_NEVER = 1e-12


@dataclass(frozen=True, slots=True)
class CaptionSet:
    """The different `texts`, and which of them are the captions of image i: `chosen[:, i]`, (variants, N)."""

    texts: tuple[str, ...]
    chosen: Tensor

    @property
    def variants(self) -> int:
        """How many captions each image has."""
        return len(self.chosen)

    def joined(self, other: CaptionSet) -> CaptionSet:
        """One book for this one's images and then the other's, which has one caption for each image."""
        texts = tuple(dict.fromkeys((*self.texts, *other.texts)))
        moved = torch.tensor([texts.index(text) for text in other.texts])[other.chosen]
        return CaptionSet(texts, torch.cat([self.chosen, moved.expand(self.variants, -1)], dim=1))


def make_caption_set(
    packs: Packs,
    samples: Sequence[Sample],
    known: Sequence[Attributes],
    seed: int,
    dropout: float | None,
    most: int = MOST_TEXTS,
) -> CaptionSet:
    """Several captions for each image, a share of them dropped; without `dropout` one, and none dropped.

    Of all images there are at most about `most`, but one of each image.

    `known` is what is known of each image.

    Raises:
        PromptError: a label has no pack.
    """
    labels = [sample.label for sample in samples]
    if missing := sorted(set(labels) - set(packs)):
        raise PromptError(
            needed="a template pack for each class",
            found=f"none for {', '.join(missing)}",
            next_step="use a pack that has this class: balance adapt --pack FILE.yaml",
        )
    variants = 1 if dropout is None else max(1, min(MOST_VARIANTS, most // max(1, len(labels))))
    wording = ScratchSettings(batch_size=max(1, len(labels)), seed=seed, caption_dropout=dropout or _NEVER)
    rows = [draw_captions(packs, labels, variant, wording, known) for variant in range(variants)]
    texts = {text: place for place, text in enumerate(dict.fromkeys(text for row in rows for text in row))}
    return CaptionSet(tuple(texts), torch.tensor([[texts[text] for text in row] for row in rows]).reshape(variants, -1))


@dataclass(frozen=True, slots=True)
class TextEncoders:
    """A pipeline's tokenizers and text encoders: one of each, or XL's two."""

    tokenizers: tuple[Any, ...]
    encoders: tuple[Any, ...]

    @classmethod
    def of(cls, pipe: Any) -> TextEncoders:
        """The text encoders of a loaded pipeline, with their tokenizers."""
        pairs = [(getattr(pipe, f"tokenizer{end}", None), getattr(pipe, f"text_encoder{end}", None)) for end in _ENDS]
        found = [(tokenizer, encoder) for tokenizer, encoder in pairs if encoder is not None]
        return cls(tuple(each for each, _ in found), tuple(each for _, each in found))

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, ...]:
        """Token ids of each tokenizer, (N, length), padded as diffusers' pipelines do."""
        return tuple(
            tokenizer(
                list(texts),
                padding="max_length",
                max_length=tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )["input_ids"]
            for tokenizer in self.tokenizers
        )

    def encode(self, tokens: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Word embeddings, (N, length, width), and of XL its pooled ones too, (N, pooled width)."""
        if len(self.encoders) == 1:
            return (self.encoders[0](tokens[0])[0],)
        outputs = [encoder(ids, output_hidden_states=True) for encoder, ids in zip(self.encoders, tokens, strict=True)]
        # XL reads the last but one layer of both, and the pooled output of the second
        return torch.cat([output.hidden_states[-2] for output in outputs], dim=-1), outputs[1][0]


_ENDS = ("", "_2")


def embedded(
    readers: TextEncoders, texts: Sequence[str], device: torch.device, path: Path, progress: Callable[[int, int], None]
) -> tuple[Tensor, ...]:
    """What the readers make of all texts, computed once and kept in `path`; on the CPU."""
    if not path.exists():
        parts = []
        for first in range(0, len(texts), _AT_ONCE):
            tokens = readers.tokens(texts[first : first + _AT_ONCE])
            with torch.no_grad():
                made = readers.encode([ids.to(device) for ids in tokens])
            parts.append([tensor.cpu() for tensor in made])
            progress(min(first + _AT_ONCE, len(texts)), len(texts))
        whole = {str(i): torch.cat(kind).contiguous() for i, kind in enumerate(zip(*parts, strict=True))}
        write_whole(path, save(whole))
    return tuple(tensor for _, tensor in sorted(load_tensors(path, path.parent).items()))
