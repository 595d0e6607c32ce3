"""Prompts to what a denoiser reads, by text encoders too large to stay in memory beside it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.families import Family
from balancer.generators.models.pipeline import let_go, load_pipeline
from balancer.generators.not_a_number import ENCODER, require_numbers
from balancer.prompting.prompts import Prompt

if TYPE_CHECKING:
    import torch

_REMEMBERED = 1024  # texts; one takes 1 to 3 MB
_INSTRUCTION = "complex_human_instruction"
Text = tuple[str, bool]
"""A text, and whether it says what is not wanted."""


@dataclass(slots=True)
class PromptEncoder:
    """What the text encoders of a checkpoint make of texts: each computed once, and the encoders let go again.

    `expected` are prompts that will be asked for: they are encoded in the same go.
    """

    checkpoint: Checkpoint
    device: str
    dtype: torch.dtype
    expected: Sequence[Prompt] = ()
    _known: dict[Text, tuple[torch.Tensor, ...]] = field(default_factory=dict)

    def lacks(self, prompts: Sequence[Prompt]) -> bool:
        """Whether some of them have to be encoded first, by `encode`."""
        return any(text not in self._known for text in _texts(prompts))

    def encode(self, prompts: Sequence[Prompt]) -> None:
        """Load the text encoders, encode what is not known of these prompts and of those expected, and let them go.

        Raises:
            ModelError: they cannot be loaded.
        """
        needed = _texts(prompts)
        wanted = list(dict.fromkeys([*needed, *_texts(self.expected)]))
        new = [text for text in wanted if text not in self._known][: max(_REMEMBERED, len(needed))]
        self._known = {text: self._known[text] for text in needed if text in self._known}
        made = encode_texts(self.checkpoint, new, self.device, self.dtype)
        self._known |= dict(zip(new, made, strict=True))

    def arguments(self, prompts: Sequence[Prompt]) -> dict[str, torch.Tensor]:
        """What the pipeline takes for prompts that are known, a row for each, on the device."""
        import torch

        names = condition_names(self.checkpoint.family)
        found: dict[str, torch.Tensor] = {}
        for prefix, rows in (
            ("", [self._known[prompt.text, False] for prompt in prompts]),
            ("negative_", [self._known[prompt.negative, True] for prompt in prompts]),
        ):
            for place, name in enumerate(names):
                found[prefix + name] = torch.cat([row[place] for row in rows]).to(self.device)
        return found


def condition_names(family: Family) -> tuple[str, ...]:
    """The names of what a prompt becomes, without what its negative becomes."""
    return tuple(name for name in family.encoded if not name.startswith("negative_"))


def encode_texts(
    checkpoint: Checkpoint, texts: Iterable[Text], device: str, dtype: torch.dtype
) -> Iterator[tuple[torch.Tensor, ...]]:
    """What a checkpoint's text encoders make of each text, on the CPU; at the end nothing of them stays in memory.

    Raises:
        ModelError: they cannot be loaded.
        NotANumber: they give values that are no numbers.
    """
    import torch

    family = checkpoint.family
    pipe = load_pipeline(checkpoint, dtype, (*family.text_encoders, *family.tokenizers)).to(device)
    try:
        for text, unwanted in texts:
            with torch.no_grad():
                made = _encode(pipe, family, text, unwanted)
            yield tuple(require_numbers(each.cpu(), ENCODER) for each in made)
    finally:
        let_go(pipe, family.text_encoders)
        if device.startswith("cuda"):
            torch.cuda.empty_cache()


def _encode(pipe: Any, family: Family, text: str, unwanted: bool) -> list[torch.Tensor]:
    """By the pipeline's own method, with the instruction that it puts before a prompt where it has one."""
    takes = inspect.signature(pipe.encode_prompt).parameters
    extra = {name: None for name in ("prompt_2", "prompt_3") if name in takes}
    if _INSTRUCTION in takes and text and not unwanted:
        extra[_INSTRUCTION] = inspect.signature(pipe.__call__).parameters[_INSTRUCTION].default
    values = pipe.encode_prompt(
        prompt=text, device=pipe.device, num_images_per_prompt=1, do_classifier_free_guidance=False, **extra
    )
    found = dict(zip(family.encoded, values, strict=False))
    return [found[name] for name in condition_names(family)]


def _texts(prompts: Iterable[Prompt]) -> list[Text]:
    return [text for prompt in prompts for text in ((prompt.text, False), (prompt.negative, True))]
