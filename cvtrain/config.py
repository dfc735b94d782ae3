"""The configuration's schema: names, types and ranges of every key, checked before work starts.

Hydra composes the YAML files and the command line; the result must fit `Config`. The slots that
name a class or function of their own (`data`, `model`, `optimizer`, `trainer`) hold its arguments,
which are checked against its signature (`cvtrain.target`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cvtrain.config_errors import config_keys, explain_invalid
from cvtrain.errors import InputError

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]

KEYS_WITHOUT_RESULT = (
    *("output", "plan", "on_error", "null_arm", "trusted_modules", "lr_octave"),
    *("variant", "analysis", "report", "resume", "pause_at", "logger"),
)
"""No number of a run depends on them."""

LATER_KEYS: dict[str, Any] = {
    "start_from": None,
    "early_stopping": {"patience": None, "metric": "loss", "min_delta": 0.0},
    "ema": {"decay": None},
}
"""Keys that runs of earlier versions do not have, at the values that change nothing."""

HISTOGRAMS_EVERY = 100
"""Steps between histograms of a single run, where the configuration leaves it open."""


class Section(BaseModel):
    """Strict and frozen: no unknown keys, no conversions, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class TargetConfig(Section):
    """A slot that names a class or function by `_target_`; other keys are its arguments."""

    model_config = ConfigDict(extra="allow")
    target: str = Field(alias="_target_")

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments for the target."""
        return dict(self.model_extra or {})


class ModelConfig(TargetConfig):
    """A network; `args` is where a user's own module has its arguments."""

    args: dict[str, Any] = {}

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments for the network's class."""
        return {**super().arguments, **self.args}


class OptimizerConfig(TargetConfig):
    """An optimizer; `real_parameters` holds values that real parameters take instead, or None, and
    `semantics` is how it treats a complex entry: as two reals, or as one number."""

    lr: Positive
    semantics: Literal["split", "modulus"] = "split"
    reference_lr: Positive
    real_parameters: dict[str, Any] = {}


class ObjectiveConfig(Section):
    """The loss by name and its scale: objective = scale × loss."""

    loss: Literal["complex_mse", "complex_huber", "cross_entropy"]
    scale: Positive = 1.0
    delta: Positive | None = None


class ConventionConfig(Section):
    """What the optimizer is handed, relative to g = 2 ∂L/∂w*."""

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
    """The learning rate stays."""

    kind: Literal["constant"]


class WarmupConfig(Section):
    """The learning rate rises linearly over `steps`."""

    kind: Literal["warmup"]
    steps: Count


class CosineConfig(Section):
    """The learning rate falls along half a cosine to `final_factor`."""

    kind: Literal["cosine"]
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    final_factor: Annotated[float, Field(ge=0, le=1)] = 0.0


class DecayConfig(Section):
    """The learning rate falls by `factor` per `every` steps: in steps or continuously."""

    kind: Literal["step", "exponential"]
    every: Count
    factor: Positive


class GoalConfig(Section):
    """What "steps to target" means; None: the task's own metric and value."""

    metric: str | None = None
    value: float | None = None


class SignalsConfig(Section):
    """How often and what is measured (steps; 0: never)."""

    scalars_every: Count = 10
    validation_every: Count = 50
    histograms_every: Annotated[int, Field(ge=0)] | None = None
    elementwise: Annotated[int, Field(ge=0)] = 4
    per_parameter: bool = False


class CheckpointConfig(Section):
    """How often checkpoints/last.ckpt is written; None: only at the end."""

    every_n_steps: Count | None = None


class EarlyStoppingConfig(Section):
    """A run ends after `patience` validations without one that is better by more than `min_delta`;
    None: it does not."""

    patience: Count | None = None
    metric: str = "loss"
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class EmaConfig(Section):
    """An exponential moving average of the weights, which is what is validated and tested; None:
    there is none."""

    decay: Annotated[float, Field(ge=0, lt=1)] | None = None


class NoLoggerConfig(Section):
    """TensorBoard and metrics.csv alone."""

    kind: Literal["none"] = "none"


class WandbConfig(Section):
    """Every run in Weights & Biases too (extra `wandb`)."""

    kind: Literal["wandb"]
    project: str
    entity: str | None = None
    mode: Literal["online", "offline"] = "online"


class MlflowConfig(Section):
    """Every run in MLflow too (extra `mlflow`)."""

    kind: Literal["mlflow"]
    experiment: str
    tracking_uri: str | None = None


class ReportConfig(Section):
    """How a sweep is judged; no run depends on it. `margin` None: 0.005 of accuracy, and 5 % of the
    reference's mean of any other metric."""

    margin: Positive | None = None
    tuning_seeds: Count = 6


class Config(Section):
    """One fully resolved configuration: a point of a sweep, or a single run."""

    seed: Seed
    max_steps: Count
    batch_size: Count | None
    dtype: Literal["complex64", "complex128"]
    lr_octave: float
    init_jitter: Annotated[float, Field(ge=0)]
    null_arm: bool
    target: GoalConfig
    data: TargetConfig
    model: ModelConfig
    objective: ObjectiveConfig
    convention: ConventionConfig
    optimizer: OptimizerConfig
    scheduler: Annotated[
        ConstantConfig | WarmupConfig | CosineConfig | DecayConfig, Field(discriminator="kind")
    ]
    clip: Annotated[NoClipConfig | NormClipConfig | EntryClipConfig, Field(discriminator="kind")]
    trainer: dict[str, Any]
    signals: SignalsConfig
    checkpoint: CheckpointConfig
    start_from: str | None = None
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    ema: EmaConfig = EmaConfig()
    logger: Annotated[NoLoggerConfig | WandbConfig | MlflowConfig, Field(discriminator="kind")] = (
        NoLoggerConfig()
    )
    report: ReportConfig = ReportConfig()
    on_error: Literal["continue", "stop"]
    resume: str | None = None
    pause_at: Count | None = None
    trusted_modules: Annotated[tuple[str, ...], Field(strict=False)]
    output: str
    variant: str | None = None
    analysis: (
        Literal[
            "laws",
            "stability",
            "lms",
            "semantics",
            "interaction",
            "activations",
            "search",
            "equalizer",
            "complex_vs_real",
        ]
        | None
    ) = None
    plan: bool

    def as_dict(self) -> dict[str, Any]:
        """The configuration as plain JSON-ready values, keyed as in conf/."""
        return self.model_dump(mode="json", by_alias=True)

    def settled(self, *, in_sweep: bool) -> Config:
        """With what depends on whether the run stands alone, where the configuration leaves it
        open: histograms are for a single run."""
        if self.signals.histograms_every is not None:
            return self
        every = 0 if in_sweep else HISTOGRAMS_EVERY
        signals = self.signals.model_copy(update={"histograms_every": every})
        return self.model_copy(update={"signals": signals})

    @property
    def identity(self) -> str:
        """Hash of everything that a run's numbers depend on, and of nothing else: how often
        histograms are drawn may be left open until the run begins."""
        content = self.result_keys()
        del content["signals"]["histograms_every"]
        for key, unused in LATER_KEYS.items():
            if content[key] == unused:
                del content[key]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def result_keys(self) -> dict[str, Any]:
        """`as_dict` without the keys that no file of a run depends on: where files go, what a
        sweep does around its runs, and the two keys that `optimizer.lr` already contains."""
        content = self.as_dict()
        for key in KEYS_WITHOUT_RESULT:
            del content[key]
        del content["optimizer"]["reference_lr"]
        return content


def check_config(content: Mapping[str, Any]) -> Config:
    """Fit a resolved mapping into `Config`, or raise `InputError` naming key, value and range."""
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise InputError("\n".join(explain_invalid(error, config_keys(Config)))) from None
