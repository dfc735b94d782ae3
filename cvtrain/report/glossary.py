"""Words of reports that a reader may not know, with their meanings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MEANINGS: Mapping[str, str] = {
    "arm": "what is compared with the reference, such as half of the loss",
    "reference": "the arm that others are compared with: plain PyTorch, unless another is named",
    "octave": "a factor 2 of the learning rate",
    "jitter control": (
        "the reference once more, with initial weights changed by a relative 10⁻⁶: how far it moves"
        " is what training amplifies, not an effect of what is compared"
    ),
    "retuned": "each arm at its own best learning rate, chosen on validation",
    "not retuned": "every arm at the reference’s best learning rate",
    "law": "an exact statement that two configurations train the same weights",
    "cliff": "the learning rate from which runs begin to diverge or not to learn",
    "window": "the learning rates whose validation loss is within 25 % of the best",
    "held-out seed": "a seed that did not choose the learning rate at which it is judged",
}


def explained(texts: Iterable[str]) -> dict[str, str]:
    """The words of `MEANINGS` that occur in the texts, singular or plural, and their meanings."""
    text = " ".join(texts).lower()
    return {
        word: meaning
        for word, meaning in MEANINGS.items()
        if re.search(rf"\b{re.escape(word)}s?\b", text)
    }
