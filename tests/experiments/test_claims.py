"""Claims of experiments: every status occurs, on sweeps whose truth is known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from cvtrain.analysis.arms import REFERENCE
from cvtrain.analysis.load import load
from cvtrain.config.compose import configuration_folder
from cvtrain.experiments import adam_eps, lr_transfer, mri, retuned
from cvtrain.experiments.claims import TOO_SMALL, Claim, Count, Estimate, judge, pairs_of_laws
from cvtrain.experiments.judged_claims import JudgedClaims
from cvtrain.experiments.publish import report_on
from cvtrain.experiments.registry import experiment, module_of, names, suite
from cvtrain.experiments.sweep import HALF_GRADIENT, HALF_LOSS
from cvtrain.report.document import Document, Section, Table
from tests.analysis.simulated import curve
from tests.analysis.synthetic import write_run

pytestmark = pytest.mark.usefixtures("blank_figures")

MOVES = 1
"""Number of the claim on the octaves of SGD's curve in the experiment `sweep`."""
EMPTY = Document("", (), ())


def shifted(root, shift: float, spread: float = 0.02, seeds: int = 4) -> Document:
    """The report on a sweep of SGD whose wirtinger lies `shift` octaves from the reference."""
    rng = np.random.default_rng(1)
    for seed in range(seeds):
        own = shift + spread * rng.standard_normal()
        for arm, (scale, moved) in {"p": (1.0, 0.0), "w": (0.5, own)}.items():
            for octave in range(-5, 2):
                loss = float(np.exp(curve(np.array(octave - moved))))
                final = {"val/loss": loss, "test/loss": loss, "test/accuracy": 0.9}
                write_run(
                    root / f"{arm}{octave}_{seed}",
                    final=final,
                    seed=seed,
                    lr_octave=float(octave),
                    optimizer__lr=0.125 * 2.0**octave,
                    convention={"scale": scale, "conjugate": False},
                )
    return report_on(load(root))


@pytest.mark.parametrize(
    ("shift", "spread", "status"),
    [(0.4, 0.02, "holds"), (1.5, 0.02, "does not hold"), (0.1, 0.5, "inconclusive")],
)
def test_every_status_occurs_as_the_curves_were_made(tmp_path, shift, spread, status):
    claim = experiment("sweep").claims[MOVES]
    document = shifted(tmp_path / "sweep", shift, spread)
    one = judge("sweep", claim, document, quick=False)
    assert one.status == status
    assert one.measured.value == pytest.approx(shift, abs=0.05 if spread < 0.1 else 0.5)
    assert one.measured.low < one.measured.value < one.measured.high
    assert one.record["measured"].endswith("octaves")
    assert ("reaches beyond above 0 and below 1 octaves" in one.why) == (status == "inconclusive")
    # With fewer seeds and steps only what is exact is decided; the number is shown all the same.
    quick = judge("sweep", claim, document, quick=True)
    assert (quick.status, quick.why) == ("inconclusive", TOO_SMALL)
    assert quick.record["measured"] == one.record["measured"]


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize(
    ("count", "status"),
    [
        (Count(9, 9), "holds"),
        (Count(8, 9), "does not hold"),
        (Count(0, 0), "inconclusive"),
    ],
)
def test_what_is_exact_is_counted_in_either_form(count, status, quick):
    one = judge("x", Claim("Bits are equal.", lambda _: count), EMPTY, quick)
    assert one.status == status
    assert one.record["measured"] == f"{count.held} of {count.total}"
    assert bool(one.why) == (status == "inconclusive")


@pytest.mark.parametrize(
    ("estimate", "status", "why"),
    [
        (Estimate(0.5, 0.1, 0.9), "holds", ""),
        (Estimate(-0.5, -0.9, -0.1), "does not hold", ""),
        (Estimate(-0.5, -0.9, 0.0), "does not hold", ""),
        (Estimate(0.5, 0.0, 0.9), "inconclusive", "the interval reaches beyond above 0 points"),
        (Estimate(0.5, math.nan, math.nan), "inconclusive", "no interval: too few seeds"),
        (Estimate(math.nan, math.nan, math.nan), "inconclusive", "not measured"),
        (None, "inconclusive", "not measured"),
    ],
)
def test_an_interval_is_inside_outside_or_neither(estimate, status, why):
    claim = Claim("It is more.", lambda _: estimate, above=0.0, unit="points", scale=100)
    one = judge("x", claim, EMPTY, quick=False)
    assert (one.status, one.why) == (status, why)
    assert judge("x", claim, EMPTY, quick=True).why == TOO_SMALL


def test_an_experiment_that_was_not_completed_is_inconclusive():
    one = judge("x", Claim("It is.", lambda _: Count(1, 1)), None, quick=False)
    assert (one.status, one.why) == ("inconclusive", "the experiment was not completed")


def test_every_experiment_of_the_suite_claims_something_in_a_sentence():
    for name in suite():
        claims = experiment(name).claims
        assert claims, name
        for claim in claims:
            assert claim.text.endswith(".") and len(claim.text) < 100, claim.text
            assert claim.above < claim.below
            # A report without the numbers is no reason to end in an error.
            assert judge(name, claim, EMPTY, quick=False).status == "inconclusive"
    assert set(suite()) <= set(names())


def test_claims_are_printed_and_written(tmp_path, capsys):
    judged = JudgedClaims(["sweep", "laws"], {"sweep": "sweep_2"}, quick=False)
    section = judged.section({"sweep_2": shifted(tmp_path / "sweep", 0.4)})
    judged.publish(tmp_path)
    shown = capsys.readouterr().out
    written = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    statuses = [row["status"] for row in written["claims"]]
    assert statuses == ["inconclusive", "holds", "holds", "inconclusive", "inconclusive"]
    row = written["claims"][MOVES]
    assert 0 < row["low"] < row["value"] < row["high"] < 1
    assert (row["above"], row["below"]) == (0, 1)
    summary = "Of 5 claims 2 hold, 0 do not, 3 are inconclusive."
    text = (tmp_path / "claims.md").read_text(encoding="utf-8")
    assert "[green]" not in shown
    assert summary in shown and text.startswith(summary) and written["summary"] == summary
    assert "the experiment was not completed" in text
    assert section.tables[0].records[MOVES]["status"] == "holds"


NUMBERS = {
    "slope": 0.1,
    "accuracy": 0.1,
    "difference": 0.1,
    "measured": 0.1,
    "octaves": 0.1,
    "predicted": 0.1,
}
ENDS = {
    "low": 0.0,
    "high": 0.2,
    "octaves_low": 0.0,
    "octaves_high": 0.2,
    "difference_low": 0.0,
    "slope_low": 0.0,
    "slope_high": 0.2,
    "rest_low": 0.0,
    "rest_high": 0.2,
    "difference_high": 0.2,
    "error": 0.1,
}


def of_interaction(name):
    for setting in getattr(module_of(name), "SETTINGS", ()):
        for arm in setting.arms:
            theory = {True: "equal", False: "differ", None: ""}[arm.equal]
            yield {"setting": setting.name, "arm": arm.name, "theory": theory} | {
                "equal_pairs": 2 * (arm.equal is True),
                "pairs": 2,
            }


ROWS = {
    "lr_factor": [{"network": v[0].split("'")[1]} for v in experiment("lr_factor").variants()],
    "lr_sensitivity": [
        {"variant": setting, "arm": "scale 1, wirtinger"}
        for setting in ("plain", "twice the steps", "clipped norm")
    ],
    "split_vs_modulus": [
        {"task": "digits_fft", "optimizer": name} for name in ("Adam", "RMSprop", "Lion")
    ],
    "activations": [{"change": "batch for none", "others": "CReLU, glorot"}],
    "lms": [{"filter": "linear"}],
    "adam_eps": [{"eps": 2.0**exponent, "predicted": 0.1} for exponent in adam_eps.EXPONENTS],
    "lr_transfer": [
        {"parametrisation": name, "arm": REFERENCE} for name in lr_transfer.NAMES.values()
    ],
}
ROWS["complex_vs_real"] = [
    {"task": task, "optimizer": name}
    for task in ("digits_fft", "noncircular", "equalizer")
    for name in ("SGD", "Adam")
]
GROUPS = {
    "mri": [
        f"{name}, variant={task}"
        for name in ("SGD", "Adam")
        for task in ("coil images", "undersampled")
    ]
}
ROWS["retuned"] = [{"setting": kept.name, "rest": 0.1} for kept in retuned.SETTINGS]
TABLES = {
    "retuned": "half_loss",
    "lr_factor": "predicted_factors",
    "lr_sensitivity": "sensitivity",
    "lr_transfer": "transfer",
}
TABLES |= {"activations": "effects"}
FACTS = ("exact_pairs", "equal_pairs", "trials", "as_predicted", "rules", "turn_as_predicted")


@pytest.mark.parametrize("name", sorted(suite()))
def test_every_claim_reads_a_row_that_its_report_has(name):
    """Rows as the report names them: what is claimed of another name would never be decided."""
    rows = [{**NUMBERS, **ENDS, **row} for row in ROWS.get(name) or of_interaction(name)]
    interval = {"mean": 0.1, "low": 0.0, "high": 0.2}
    arms = [
        {
            "arm": arm,
            "registration": {"shift": interval, "rest": interval},
            "optimum": {"difference": interval},
            "law": law,
        }
        for arm, law in ((HALF_GRADIENT, None), (HALF_LOSS, {"equal": 2, "pairs": 2}))
    ]
    groups = [
        {"group": group, "arms": arms} for group in GROUPS.get(name, ("SGD", "Adam", "RMSprop"))
    ]
    table = Table(TABLES.get(name, name), "", (), tuple(rows))
    facts: dict[str, object] = {**dict.fromkeys(FACTS, 2), "verdict": groups}
    document = Document("", (), (Section("", tables=(table,)),), facts=facts)
    for claim in experiment(name).claims:
        one = judge(name, claim, document, quick=False)
        assert one.record["measured"], claim.text


def test_tasks_of_the_scan_are_those_of_its_configuration():
    text = (Path(configuration_folder()) / "experiment" / "mri.yaml").read_text()
    assert all(f"variant='{task}'" in text for task in (mri.IMAGE, mri.UNDERSAMPLED))
    assert {group.partition("=")[2] for group in GROUPS["mri"]} == {mri.IMAGE, mri.UNDERSAMPLED}


def test_pairs_of_all_arms_of_all_groups_count():
    def arms(*equal):
        return [{"law": None}, *({"law": {"equal": n, "pairs": 4}} for n in equal)]

    facts = {"verdict": [{"group": "SGD", "arms": arms(4, 3)}, {"group": "Adam", "arms": arms(4)}]}
    assert pairs_of_laws(Document("", (), (), facts=facts)) == Count(11, 12)
    assert pairs_of_laws(EMPTY) == Count(0, 0)


def test_variants_of_the_sensitivity_are_those_of_its_configuration():
    text = (Path(configuration_folder()) / "experiment" / "lr_sensitivity.yaml").read_text()
    assert all(
        f"variant={row['variant']}" in text.replace("'", "") for row in ROWS["lr_sensitivity"]
    )
