"""Does the factor 2 matter on measured k-space? Two tasks from the MRI scan of a brain."""

from cvtrain.experiments.claims import Claim, best_rate_estimate, pairs_of_laws
from cvtrain.experiments.registry import Experiment, variants_override
from cvtrain.experiments.sweep import HALF_GRADIENT

MARGIN = 0.0055
"""5 % of the test error, normalised to the power of the targets, at Adam's best rates."""
IMAGE, UNDERSAMPLED = "coil images", "undersampled"
QUICK_TASKS = (
    (f"variant='{IMAGE}'", "data=mri_image", "data.size=16", "model=inr", "model.hidden=[8]"),
    (
        *(f"variant='{UNDERSAMPLED}'", "data=mri_undersampled", "data.train_samples=16"),
        *("data.validation_samples=8", "model=unet", "model.channels=[2]"),
    ),
)

EXPERIMENT = Experiment(
    quick=(
        "seed=0,1",
        "lr_octave=0,1",
        "max_steps=6",
        "batch_size=4",
        variants_override(QUICK_TASKS),
    ),
    files=("data/mri/cartesian_ksp.npy",),
    claims=(
        Claim("Runs that a law makes equal are equal on measured data.", pairs_of_laws),
        *(
            Claim(
                f"{optimizer}, {task}: with halved complex gradients as good, within 5 %.",
                best_rate_estimate(f"{optimizer}, variant={task}", HALF_GRADIENT),
                *(-MARGIN, MARGIN, "of nmse", 1.0, "+.4f"),
            )
            for optimizer, task in (("SGD", UNDERSAMPLED), ("Adam", IMAGE), ("Adam", UNDERSAMPLED))
        ),
    ),
)
