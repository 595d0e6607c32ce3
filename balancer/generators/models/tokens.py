"""How many tokens the text encoders of a checkpoint read, and whether prompts have more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from balancer.errors import ModelError
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.pipeline import not_loaded
from balancer.prompting.prompts import Prompt

_CLIP = 77


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts a text as one text encoder of a checkpoint reads it; it reads `limit` tokens. `name` is its tokenizer."""

    name: str
    count: Callable[[str], int]
    limit: int


@dataclass(frozen=True, slots=True)
class LongestText:
    """The text that comes nearest to a limit, or exceeds it most: its tokens, and how many `name` reads."""

    text: str
    count: int
    limit: int
    name: str


def token_counters(checkpoint: Checkpoint) -> list[TokenCounter]:
    """A counter for each text encoder of a checkpoint.

    Raises:
        ModelError: a tokenizer cannot be loaded.
    """
    family = checkpoint.family
    return [_counter(checkpoint, *each) for each in zip(family.tokenizers, family.text_encoders, strict=True)]


def token_counter(checkpoint: Checkpoint) -> tuple[Callable[[str], int], int]:
    """A function that counts the tokens of a text, and how many the checkpoint reads: of its narrowest text encoder.

    Raises:
        ModelError: its tokenizer cannot be loaded.
    """
    narrowest = min(token_counters(checkpoint), key=lambda each: each.limit)
    return narrowest.count, narrowest.limit


def longest_text(checkpoint: Checkpoint, texts: Iterable[str]) -> LongestText:
    """The text of all for which a text encoder has the least room.

    Raises:
        ModelError: a tokenizer cannot be loaded.
    """
    different, counters = list(dict.fromkeys(texts)) or [""], token_counters(checkpoint)
    found = [LongestText(text, each.count(text), each.limit, each.name) for each in counters for text in different]
    return max(found, key=lambda each: each.count / each.limit)


def require_texts_fit(
    checkpoint: Checkpoint,
    texts: Iterable[str],
    kind: str = "prompts",
    fix: str = "shorten it in the template pack, then check: balance prompts",
) -> None:
    """Refuse texts of which a text encoder would silently drop the end; `kind` is what messages call them.

    Raises:
        ModelError: one has more tokens than an encoder takes.
    """
    longest = longest_text(checkpoint, texts)
    if longest.count > longest.limit:
        several = len(checkpoint.family.tokenizers) > 1
        by = f" by its {longest.name}" if several else ""
        raise ModelError(
            needed=f"{kind} of at most {longest.limit} tokens{by}, which is what this model reads",
            found=f"{longest.count} tokens: {shorten(longest.text, 200, placeholder=' ...')!r}",
            next_step=fix,
        )


def require_tokens_fit(checkpoint: Checkpoint, prompts: Iterable[Prompt]) -> None:
    """Refuse prompts of which the checkpoint's text encoders would silently drop the end.

    Raises:
        ModelError: a prompt or negative has more tokens than an encoder takes.
    """
    require_texts_fit(checkpoint, (text for prompt in prompts for text in (prompt.text, prompt.negative)))


def _counter(checkpoint: Checkpoint, tokenizer: str, encoder: str) -> TokenCounter:
    import transformers

    name = checkpoint.part_class(tokenizer)
    try:
        loaded: Any = getattr(transformers, name).from_pretrained(checkpoint.folder / tokenizer, local_files_only=True)
    except Exception as error:  # whatever a foreign file makes transformers raise
        raise not_loaded(checkpoint, error) from error
    own = checkpoint.family.tokens.get(tokenizer)
    limit = own or int(checkpoint.config(encoder).get("max_position_embeddings", _CLIP))
    return TokenCounter(tokenizer, lambda text: len(loaded(text, truncation=False, verbose=False)["input_ids"]), limit)
