"""The sections of a configuration, with names, types and ranges of their keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
)

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=10**12)]
"""A number of steps or samples. The limit keeps counters exact; no run reaches it."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Section(BaseModel):
    """Base of all sections. Strict and frozen: no unknown keys, no conversions, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class TargetConfig(Section):
    """A section that names a class or function by `_target_`; its other keys are the arguments."""

    model_config = ConfigDict(extra="allow")
    target: str = Field(alias="_target_")

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments for the target."""
        return dict(self.model_extra or {})


class ModelConfig(TargetConfig):
    """A network; `args` holds the arguments of a user's own module."""

    args: dict[str, Any] = {}

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments for the network's class."""
        return {**super().arguments, **self.args}


class ModuleConfig(Section):
    """A user's LightningModule in place of network and loss, which `model` then names too; further
    keys are its arguments. `_target_` None: no such module."""

    model_config = ConfigDict(extra="allow")
    target: str | None = Field(default=None, alias="_target_")


class OptimizerConfig(TargetConfig):
    """An optimizer.

    `semantics` sets how a complex entry is treated: as two reals (`split`) or as one number
    (`modulus`). `real_parameters` holds values that apply to real parameters instead.
    """

    lr: Positive
    semantics: Literal["split", "modulus"] = "split"
    reference_lr: Positive
    real_parameters: dict[str, Any] = {}


class ObjectiveConfig(Section):
    """The loss by name and its scale: objective = scale × loss.

    ``loss: module`` is the loss of the LightningModule that `module` names.
    """

    loss: Literal["complex_mse", "complex_huber", "cross_entropy", "module"]
    scale: Positive = 1.0
    delta: Positive | None = None


class CustomObjectiveConfig(TargetConfig):
    """A user's loss; further keys are its arguments.

    `loss` repeats its path: runs are distinguished by this key.
    """

    loss: str
    scale: Positive = 1.0

    @field_validator("loss")
    @classmethod
    def _is_its_path(cls, loss: str, info: ValidationInfo) -> str:
        if loss != info.data.get("target", loss):
            raise ValueError("be left out where objective._target_ names the loss")
        return loss


def _kind_of_objective(value: Any) -> str:
    own = isinstance(value, CustomObjectiveConfig)
    return "custom" if own or (isinstance(value, dict) and "_target_" in value) else "named"


AnyObjectiveConfig = Annotated[
    Annotated[ObjectiveConfig, Tag("named")] | Annotated[CustomObjectiveConfig, Tag("custom")],
    Discriminator(_kind_of_objective),
]


class ConventionConfig(Section):
    """The gradient that the optimizer receives, relative to g = 2 ∂L/∂w*."""

    scale: Positive = 1.0
    conjugate: bool = False


class NoClipConfig(Section):
    """No clipping."""

    kind: Literal["none"]


class NormClipConfig(Section):
    """Clipping of the norm over all parameters."""

    kind: Literal["norm"]
    threshold: Positive
    eps: Annotated[float, Field(ge=0)] = 1e-6


class EntryClipConfig(Section):
    """Clipping entry by entry: into a disc (modulus) or a square (split)."""

    kind: Literal["modulus", "split"]
    threshold: Positive


class ConstantConfig(Section):
    """A constant learning rate."""

    kind: Literal["constant"]


class WarmupConfig(Section):
    """A learning rate that rises linearly over `steps`."""

    kind: Literal["warmup"]
    steps: Count


class CosineConfig(Section):
    """A learning rate that falls along half a cosine to `final_factor` of itself."""

    kind: Literal["cosine"]
    warmup_steps: Annotated[int, Field(ge=0, le=10**12)] = 0
    final_factor: Annotated[float, Field(ge=0, le=1)] = 0.0


class DecayConfig(Section):
    """A learning rate that falls by `factor` per `every` steps: in steps or continuously."""

    kind: Literal["step", "exponential"]
    every: Count
    factor: Positive


class CustomScheduleConfig(TargetConfig):
    """A user's learning rate schedule; further keys are its arguments."""

    kind: Literal["custom"]


class GoalConfig(Section):
    """The goal that "steps to target" refers to; None: the task's default metric and value."""

    metric: str | None = None
    value: float | None = None


class SignalsConfig(Section):
    """Measured signals, and the number of steps between measurements (0: never)."""

    scalars_every: Count = 10
    validation_every: Count = 50
    histograms_every: Annotated[int, Field(ge=0, le=10**12)] | None = None
    elementwise: Annotated[int, Field(ge=0, le=1000)] = 4
    per_parameter: bool = False
    complex_share: bool = False
    tensorboard: bool = True

    @field_validator("tensorboard")
    @classmethod
    def _has_a_place_for_histograms(cls, tensorboard: bool, info: ValidationInfo) -> bool:
        if not tensorboard and info.data.get("histograms_every"):
            raise ValueError("be true with signals.histograms_every: TensorBoard alone shows them")
        return tensorboard


class CheckpointConfig(Section):
    """Number of steps between writes of checkpoints/last.ckpt; None: only at the end."""

    every_n_steps: Count | None = None


class EarlyStoppingConfig(Section):
    """End a run after `patience` validations that improve by no more than `min_delta`.

    `patience` None: runs never end early.
    """

    patience: Count | None = None
    metric: str = "loss"
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class EmaConfig(Section):
    """An exponential moving average of the weights, which is validated and tested instead of the
    weights.

    `decay` None: no average.
    """

    decay: Annotated[float, Field(ge=0, lt=1)] | None = None


class NoLoggerConfig(Section):
    """Only TensorBoard and metrics.csv."""

    kind: Literal["none"] = "none"


class WandbConfig(Section):
    """Also log every run to Weights & Biases (extra `wandb`)."""

    kind: Literal["wandb"]
    project: str
    entity: str | None = None
    mode: Literal["online", "offline"] = "online"


class MlflowConfig(Section):
    """Also log every run to MLflow (extra `mlflow`)."""

    kind: Literal["mlflow"]
    experiment: str
    tracking_uri: str | None = None


AnyLoggerConfig = NoLoggerConfig | WandbConfig | MlflowConfig


class ReportConfig(Section):
    """How a sweep is judged; no run depends on it.

    `metric`: metric by which learning rates are chosen and arms are compared (None: chosen by the
    validation loss, compared by the first metric of the test split).
    `margin`: largest difference of the test metric that is called equal (None: 0.005 for accuracy,
    5 % of the reference's mean for any other metric); `margin_loss`: the same as a share of the
    test loss, above 0.001, which interpolated curves do not resolve.
    `decides_on`: what decides the answer, stated beforehand: registered learning-rate curves, or
    the result at each arm's best rate.
    `reference`: arm that the others are compared with, if arms are not readings of the gradient.
    `max_seeds`: largest number of seeds at which answers are looked for; the error of 5 % is spread
    over these looks.
    `decide`: whether the sweep adds seeds by itself until all arms have an answer or `max_seeds` is
    reached.
    """

    metric: str | None = None
    margin: Positive | None = None
    margin_loss: Annotated[float, Field(gt=0.001, lt=1)] = 0.05
    decides_on: Literal["curves", "optimum"] = "curves"
    reference: str | None = None
    tuning_seeds: Count = 6
    max_seeds: Annotated[int, Field(ge=2, le=10**6)] = 32
    decide: bool = False
