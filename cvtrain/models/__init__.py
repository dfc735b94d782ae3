"""Networks, one architecture per file, and functions on the parameters of any of them.

A network takes `in_features` or `input_shape`, `out_features` and, by keyword, its own arguments
and a complex `dtype`. Its input is [N, ...], complex; where it takes `in_features`, the input is
flattened.
"""

from cvtrain.models.linear import Linear
from cvtrain.models.mixed_mlp import MixedMlp
from cvtrain.models.mlp import Mlp
from cvtrain.models.parameters import (
    ParameterCount,
    cast_parameters,
    count_parameters,
    jitter_parameters,
)
from cvtrain.models.widely_linear import WidelyLinear

__all__ = [
    "Linear",
    "MixedMlp",
    "Mlp",
    "ParameterCount",
    "WidelyLinear",
    "cast_parameters",
    "count_parameters",
    "jitter_parameters",
]
