"""What the factor 2 is worth: exact laws, and conversions between conventions."""

from cvtrain.laws.conversion import Conversion, Side, convert
from cvtrain.laws.readings import READINGS, Reading, reading
from cvtrain.laws.table import LAWS, Law, absorbed, exponents, law_of

__all__ = [
    "LAWS",
    "READINGS",
    "Conversion",
    "Law",
    "Reading",
    "Side",
    "absorbed",
    "convert",
    "exponents",
    "law_of",
    "reading",
]
