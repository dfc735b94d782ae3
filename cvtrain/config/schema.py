"""The schema of configurations: names, types and ranges of all keys, checked before work starts.

Hydra composes the YAML files and the command line; the result must fit `Config`. Sections that name
a class or function (`data`, `model`, `objective`, `optimizer`, `scheduler`, `trainer`) hold its
arguments, which are checked against its signature (`cvtrain.config.targets`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from cvtrain.config.errors import config_keys, explain_invalid, floats
from cvtrain.config.sections import (
    AnyLoggerConfig,
    AnyObjectiveConfig,
    CheckpointConfig,
    ConstantConfig,
    ConventionConfig,
    CosineConfig,
    Count,
    CustomScheduleConfig,
    DecayConfig,
    EarlyStoppingConfig,
    EmaConfig,
    EntryClipConfig,
    GoalConfig,
    ModelConfig,
    ModuleConfig,
    NoClipConfig,
    NoLoggerConfig,
    NormClipConfig,
    OptimizerConfig,
    ReportConfig,
    Section,
    Seed,
    SignalsConfig,
    TargetConfig,
    WarmupConfig,
)
from cvtrain.process.errors import InputError

KEYS_WITHOUT_RESULT = (
    *("output", "plan", "on_error", "null_arm", "trusted_modules", "lr_octave"),
    *("variant", "analysis", "report", "resume", "pause_at", "logger", "debug"),
)
"""Keys that affect no number of a run."""

UNHASHED_DEFAULTS: dict[str, Any] = {
    "start_from": None,
    "early_stopping": {"patience": None, "metric": "loss", "min_delta": 0.0},
    "ema": {"decay": None},
    "callbacks": [],
    "metrics": [],
    "module": {"_target_": None},
    "compile": False,
}
"""Keys that are left out of an id at these values, so that ids from before such a key stay
valid."""

HISTOGRAMS_EVERY = 100
"""Default number of steps between histograms of a single run."""


class Config(Section):
    """One fully resolved configuration: a point of a sweep, or a single run."""

    seed: Seed
    max_steps: Count
    batch_size: Count | None
    dtype: Literal["complex64", "complex128"]
    lr_octave: float
    init_jitter: Annotated[float, Field(ge=0)]
    null_arm: bool
    goal: GoalConfig
    metrics: Annotated[tuple[str | dict[str, Any], ...], Field(strict=False)] = ()
    data: TargetConfig
    model: ModelConfig
    objective: AnyObjectiveConfig
    convention: ConventionConfig
    optimizer: OptimizerConfig
    scheduler: Annotated[
        ConstantConfig | WarmupConfig | CosineConfig | DecayConfig | CustomScheduleConfig,
        Field(discriminator="kind"),
    ]
    clip: Annotated[NoClipConfig | NormClipConfig | EntryClipConfig, Field(discriminator="kind")]
    module: ModuleConfig = ModuleConfig()
    trainer: dict[str, Any]
    callbacks: Annotated[tuple[str | dict[str, Any], ...], Field(strict=False)] = ()
    signals: SignalsConfig
    checkpoint: CheckpointConfig
    start_from: str | None = None
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    ema: EmaConfig = EmaConfig()
    compile: bool = False
    logger: Annotated[AnyLoggerConfig, Field(discriminator="kind")] = NoLoggerConfig()
    report: ReportConfig = ReportConfig()
    on_error: Literal["continue", "stop"]
    resume: str | None = None
    pause_at: Count | None = None
    trusted_modules: Annotated[tuple[str, ...], Field(strict=False)]
    output: str
    variant: str | None = None
    analysis: str | None = None
    plan: bool
    debug: bool = False

    @model_validator(mode="before")
    @classmethod
    def _module_is_network_and_loss(cls, content: Any) -> Any:
        """A user's module replaces `model` and, except for its scale, `objective`."""
        module = content.get("module") if isinstance(content, dict) else None
        if not isinstance(module, dict) or module.get("_target_") is None:
            return content
        arguments = dict(module)
        model = {"_target_": arguments.pop("_target_"), "args": arguments}
        objective = content.get("objective")
        scale = {"scale": objective["scale"]} if "scale" in (objective or {}) else {}
        return {**content, "model": model, "objective": {"loss": "module", **scale}}

    def __repr__(self) -> str:
        def last(target: str) -> str:
            return target.rpartition(".")[2]

        objective, convention = self.objective, self.convention
        return (
            f"<Config {self.identity}: {last(self.data.target)}, {last(self.model.target)},"
            f" {last(self.optimizer.target)} lr={self.optimizer.lr:g},"
            f" {objective.scale:g} × {objective.loss}, convention {convention.scale:g}"
            f"{' conjugate' * convention.conjugate}, seed {self.seed}, {self.max_steps} steps;"
            " as_dict() has every key>"
        )

    def as_dict(self) -> dict[str, Any]:
        """The configuration as plain values for JSON, with the keys of conf/."""
        return self.model_dump(mode="json", by_alias=True)

    def settled(self, *, in_sweep: bool) -> Config:
        """Fill in values that depend on whether the run is part of a sweep: only a single run draws
        histograms.

        Returns:
            a copy, or the configuration itself if nothing is left open.
        """
        if self.signals.histograms_every is not None:
            return self
        drawn = self.signals.tensorboard and not in_sweep
        every = HISTOGRAMS_EVERY if drawn else 0
        signals = self.signals.model_copy(update={"histograms_every": every})
        return self.model_copy(update={"signals": signals})

    def tried(self, max_steps: int) -> Config:
        """A copy for a short trial training, without trackers."""
        update = {"max_steps": max_steps, "pause_at": None, "logger": NoLoggerConfig()}
        return self.model_copy(update=update)

    def pauses(self, step: int) -> bool:
        """Whether the run pauses after `step` updates, to be continued by `resume`."""
        return self.pause_at is not None and step >= self.pause_at

    @property
    def identity(self) -> str:
        """Hash of everything that affects a run's numbers, and of nothing else.

        The number of steps between histograms is not part of it: it may be left open until the run
        starts.
        """
        content = self.result_keys()
        content["target"] = content.pop("goal")  # ids are the same as in runs of schema 1
        del content["signals"]["histograms_every"]
        for key, unused in UNHASHED_DEFAULTS.items():
            if content[key] == unused:
                del content[key]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def result_keys(self) -> dict[str, Any]:
        """`as_dict` without the keys that affect no number of a run.

        These are the paths of files, what a sweep does around its runs, and the two keys from which
        `optimizer.lr` is computed.
        """
        content = self.as_dict()
        for key in KEYS_WITHOUT_RESULT:
            del content[key]
        del content["optimizer"]["reference_lr"]
        del content["signals"]["tensorboard"]
        return content


def check_config(content: Mapping[str, Any]) -> Config:
    """Validate a resolved mapping as a `Config`.

    Raises:
        InputError: a value is wrong; one line per value, with its key and what it should be.
    """
    for key, value in floats(content):
        if not math.isfinite(value):
            raise InputError(f"{key}={value}: should be a finite number")
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise InputError("\n".join(explain_invalid(error, config_keys(Config)))) from None
