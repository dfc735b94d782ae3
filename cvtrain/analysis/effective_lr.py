"""How far a law moves the learning rate for a factor on the gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cvtrain.analysis.exact_pairs import factors, hyperparameters
from cvtrain.laws.table import exponents


def rate_exponent(config: Mapping[Any, Any]) -> int:
    """e, where a factor c on the gradient is made up for by lr·cᵉ: −1 for SGD, 0 for Adam.

    Args:
        config: dotted keys; 0 for an optimizer without a law.
    """
    values = hyperparameters(config)
    if values is None:
        return 0
    name = str(config["optimizer._target_"]).rsplit(".", 1)[-1]
    return exponents(name, values).get("lr", 0)


def predicted_shift(config: Mapping[Any, Any], mixed: bool) -> float:
    """Octaves by which the law moves the best learning rate; NaN where complex and real parameters
    have gradients of different factors, which no law makes up for by one rate."""
    on_complex, on_real = factors(config)
    if mixed and on_complex != on_real:
        return math.nan
    return rate_exponent(config) * math.log2(on_complex)
