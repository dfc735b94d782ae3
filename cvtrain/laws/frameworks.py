"""How frameworks and books read the gradient of a complex weight, and which rules they apply to it.

An optimizer receives `scale` · g, or its conjugate, where g = ∂L/∂Re w + i ∂L/∂Im w = 2 ∂L/∂w* is
PyTorch's gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cvtrain.optim.semantics import Semantics
from cvtrain.process.errors import InputError

INSIDE = "it adds eps inside the root, √(v + eps), and torch outside, √v + eps"
SQUARED = (
    "it squares a complex gradient as g·g, neither split nor modulus, and adds eps elsewhere (Adam:"
    " before the bias correction; RMSprop, Adagrad: inside the root)"
)


@dataclass(frozen=True)
class FrameworkConvention:
    """How a framework or a book reads the gradient, and how its optimizers differ from torch's.

    Attributes:
        name: name of the framework or convention.
        scale: factor on the gradient that the optimizer receives, relative to PyTorch's g.
        conjugate: whether the optimizer receives g*, which is no direction of descent.
        semantics: `split` or `modulus` of its optimizers; None if it has none.
        differences: differences from torch's rules, by class of optimizer (or AMSGrad).
        clip_eps: number that it adds to the norm in clipping by norm.
        source: where this is documented.
    """

    name: str
    scale: float = 1.0
    conjugate: bool = False
    semantics: Semantics | None = None
    differences: Mapping[str, str] = field(default_factory=dict)
    clip_eps: float = 1e-6
    source: str = ""


FRAMEWORKS = {
    convention.name: convention
    for convention in (
        FrameworkConvention(
            "pytorch",
            semantics="split",
            source="PyTorch, Autograd mechanics, “Autograd for complex numbers”",
        ),
        FrameworkConvention(
            "tensorflow",
            differences=dict.fromkeys(
                ("Adam", "AdamW", "NAdam", "Adamax", "RMSprop", "Adagrad", "Adadelta"), SQUARED
            ),
            clip_eps=0.0,
            source="tensorflow issues 3348, 20613 and 38541",
        ),
        FrameworkConvention(
            "jax",
            semantics="modulus",
            differences={
                "RMSprop": f"{INSIDE} (optax's eps_in_sqrt=False agrees)",
                "Adagrad": INSIDE,
                "AMSGrad": "it takes the maximum after the bias correction, and torch before it",
                "NAdam": "it has one momentum for all steps, and torch a schedule of them",
                "RAdam": "it adds eps to the corrected √v̂, and torch to √v",
                "Adadelta": "it squares a complex gradient as g·g, neither split nor modulus",
                "Rprop": "it refuses complex parameters",
                "Muon": "it is in optax.contrib, and has not been compared",
            },
            clip_eps=0.0,
            source="jax issue 9110: grad gives g*, to be conjugated; optax pull request 279;"
            " optax 0.2.8 trained beside cvtrain.optim, see tests/laws/test_optax.py",
        ),
        FrameworkConvention(
            "zygote",
            semantics="modulus",
            clip_eps=0.0,
            source="Zygote's manual, gradient(abs2, 1+2im) = 2+4im; Flux issue 1776",
        ),
        FrameworkConvention(
            "wirtinger",
            scale=0.5,
            source="∂L/∂w*: Brandwood 1983; Kreutz-Delgado 2009, arXiv:0906.4835",
        ),
        FrameworkConvention(
            "haykin",
            scale=0.5,
            source="Adaptive Filter Theory: w + μue*, from ∇J = 2 ∂J/∂w* and a step of ½μ",
        ),
        FrameworkConvention(
            "widrow",
            source="Widrow, McCool and Ball 1975, The complex LMS algorithm: W + 2μεX*",
        ),
        FrameworkConvention(
            "unconjugated", conjugate=True, source="2 ∂L/∂w, as jax.grad returns it"
        ),
        FrameworkConvention("unconjugated_wirtinger", scale=0.5, conjugate=True, source="∂L/∂w"),
    )
}


def framework_convention(name: str) -> FrameworkConvention:
    """The convention of that name in `FRAMEWORKS`; the name is not case-sensitive.

    Raises:
        InputError: the name is unknown.
    """
    if name.lower() not in FRAMEWORKS:
        raise InputError(f"{name}: should be a framework or convention of {', '.join(FRAMEWORKS)}")
    return FRAMEWORKS[name.lower()]
