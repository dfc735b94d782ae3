"""The smallest factor 2⁻ᵏ of the loss at which results still differ only by a power of two."""

from __future__ import annotations

from cvtrain.experiments.interaction import (
    Arm,
    Setting,
    hyperparameters,
    interaction_experiment,
)


def _precision(dtype: str, optimizer: str) -> Setting:
    values = {"eps": 2.0**-20} if optimizer == "adam" else {}
    exact = {"complex64": 40, "complex128": 400}

    def arm(c: float, name: str, equal: bool | None) -> Arm:
        return Arm(
            f"loss × {name}, rescaled",
            (f"objective.scale={c!r}", *hyperparameters(optimizer, values, c)),
            equal,
        )

    # Squares of a gradient of 2^-60 leave the range of float32 (2^-126, denormal to 2^-149).
    powers = {"complex64": (1, 40, 60, 70, 120), "complex128": (1, 40, 400, 520, 600)}[dtype]
    squares = optimizer != "sgd"
    last = {"complex64": 70, "complex128": 600}[dtype]
    return Setting(
        f"{optimizer}, {dtype}",
        (f"optimizer={optimizer}", f"dtype={dtype}"),
        hyperparameters(optimizer, values),
        (
            *(
                arm(2.0**-k, f"2^-{k}", True if k <= (exact[dtype] if squares else last) else None)
                for k in powers
            ),
            arm(1 / 3, "⅓", False),
        ),
    )


def _dtypes(optimizer: str) -> Setting:
    plain = hyperparameters(optimizer, {})
    return Setting(
        f"{optimizer}, 100 steps",
        (f"optimizer={optimizer}", "max_steps=100"),
        ("dtype=complex128", *plain),
        (Arm("complex64 against complex128", ("dtype=complex64", *plain), False),),
    )


SETTINGS = (
    *(_dtypes(optimizer) for optimizer in ("sgd", "adam")),
    *(
        _precision(dtype, optimizer)
        for optimizer in ("sgd", "adam")
        for dtype in ("complex64", "complex128")
    ),
)

EXPERIMENT = interaction_experiment("precision", SETTINGS, quick=("seed=0,1", "max_steps=20"))
