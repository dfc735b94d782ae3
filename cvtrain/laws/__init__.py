"""What the factor 2 is worth: exact laws, and conversions between conventions."""

from cvtrain.laws.conversion import Conversion, Side, convert
from cvtrain.laws.frameworks import FRAMEWORKS, FrameworkConvention, framework_convention
from cvtrain.laws.table import LAWS, Law, exponents, law_of, rescaled_hyperparameters

__all__ = [
    "FRAMEWORKS",
    "LAWS",
    "Conversion",
    "FrameworkConvention",
    "Law",
    "Side",
    "convert",
    "exponents",
    "framework_convention",
    "law_of",
    "rescaled_hyperparameters",
]
