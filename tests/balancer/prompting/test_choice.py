"""Which pack words which class."""

import pytest

from balancer.errors import PromptError
from balancer.prompting.choice import choose_packs, require_words


def test_grades_are_not_worded_without_a_pack():
    """Else "3" would be asked for as a chest radiograph showing 3."""
    with pytest.raises(PromptError, match="balance prompts --new"):
        require_words(None, ["0", "1", "2", "3", "4"])
    require_words("bone", ["0", "1", "2", "3", "4"])
    require_words(None, ["grade 0", "grade 1"])


def test_a_pack_for_each_class():
    chosen = choose_packs(None, ["Effusion", "fractured"])
    assert {label: pack.name for label, pack in chosen.items()} == {"Effusion": "chest", "fractured": "bone"}
