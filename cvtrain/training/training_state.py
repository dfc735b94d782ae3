"""Checkpoints of interrupted runs, from which training continues with the same bits."""

from __future__ import annotations

import logging

from cvtrain.config.point import Point
from cvtrain.process.errors import StorageFailed, first_line, machine_failure
from cvtrain.runs.checkpoint import checkpoint_path, read_checkpoint, save_checkpoint
from cvtrain.runs.file_snapshot import FileSnapshot
from cvtrain.runs.journal import Journal
from cvtrain.runs.run_json import Engine, Status
from cvtrain.runs.storage_errors import storage_failure
from cvtrain.training.module_state import ModuleState, RunState

log = logging.getLogger(__name__)

RESUMABLE: tuple[Status, ...] = ("running", "interrupted")
"""Statuses of runs that continue. A failed run starts again: the cause may be in its checkpoint."""


def save_state(
    journal: Journal,
    point: Point,
    engine: Engine,
    module: ModuleState,
    run: int,
    recorded: FileSnapshot,
) -> None:
    """Write the checkpoint `last` of a run between two updates, with everything that resuming
    needs."""
    training = module.training_state_dict(run) | {
        "id": point.id,
        "engine": engine,
        "recorded": recorded.as_dict(),
        "seconds": journal.spent(point),
    }
    step = module.trainer.global_step
    directory = journal.run_directory(point)
    save_checkpoint(directory, "last", module.state_dict_of(run), step, training)


def load_state(journal: Journal, point: Point, engine: Engine) -> RunState | None:
    """The state from which a run can continue, or None if it has to start again.

    Raises:
        StorageUnavailable, OSError: the file system fails, so the state is unknown.
        StorageFailed: the checkpoint cannot be read for another reason of the machine.
    """
    directory = journal.run_directory(point)
    path = checkpoint_path(directory, "last")
    if journal.status(point.directory) not in RESUMABLE:
        return None
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        content = read_checkpoint(path)
        training = content.get("training")
        if not isinstance(training, dict):
            return None
        if (training.get("id"), training.get("engine")) != (point.id, engine):
            return None
        recorded = FileSnapshot.from_dict(training["recorded"])
        seconds = float(training["seconds"])
        fits = 0 < content["step"] < point.config.max_steps and recorded.still_there(directory)
    except Exception as error:  # an untrusted file may hold any object anywhere
        if storage_failure(error, directory):  # the checkpoint may be intact
            raise
        if (failure := machine_failure(error)) is not None:
            raise StorageFailed(f"{path}: cannot be read ({failure}); it is kept") from error
        reason = first_line(error) or type(error).__name__
        log.warning("%s begins again, its checkpoint cannot be used: %s", point.directory, reason)
        return None
    if not fits:
        log.warning("%s begins again, its files do not match its checkpoint", point.directory)
        return None
    return RunState(content["step"], content["state_dict"], training, recorded, seconds)
