"""A sweep on a Ray cluster has the bits of one process, also where a node goes down."""

from __future__ import annotations

import signal

import psutil
import pytest

from cvtrain.cli.train import main
from tests.sweeps.small_sweep import (
    LONG,
    SMALL,
    assert_equal,
    checkpoints,
    resume,
    start,
    statuses,
    wait_for,
)

ray = pytest.importorskip("ray")

ON_RAY = "hydra/launcher=ray"
SOON_MISSED = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 2,
}
"""A node is looked after every half second, not every three: its end is seen in a second."""


@pytest.fixture
def cluster(monkeypatch):
    """A head, which trains nothing, and two nodes of one core."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": SOON_MISSED}
    made = Cluster(initialize_head=True, head_node_args=head)
    nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    made.wait_for_nodes()
    made.two = nodes
    yield made
    made.shutdown()


def training(node) -> bool:
    """Whether one of a node's workers is busy with a job."""
    (raylet,) = node.all_processes["raylet"]
    below = psutil.Process(raylet.process.pid).children(recursive=True)
    return any("ray::_train" in " ".join(child.cmdline()) for child in below)


def test_a_node_that_goes_down_costs_nothing_but_time(commands, whole, cluster, tmp_path):
    directory = tmp_path / "sweep"

    def bring_down(*_: int) -> None:
        assert all(training(node) for node in cluster.two)
        assert list(statuses(directory).values()) == ["running"] * 6
        cluster.remove_node(cluster.two[0], allow_graceful=False)

    on_cluster = (ON_RAY, f"hydra.launcher.address={cluster.address}")
    done = commands.run(
        tmp_path,
        *(*SMALL, *LONG, *on_cluster, f"hydra.sweep.dir={directory}", "-m"),
        killed_when=lambda: checkpoints(directory) > 3,
        kill=bring_down,
        environment={"RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert_equal(whole, directory)


@pytest.mark.long
def test_an_interrupted_sweep_leaves_what_it_goes_on_from(whole, tmp_path):
    directory = tmp_path / "sweep"
    with start(directory, ON_RAY, "hydra.launcher.workers=2") as running:
        wait_for(running, lambda: checkpoints(directory) > 3)
        running.send_signal(signal.SIGINT)
        printed = running.communicate()[1]
    assert running.returncode == 130, printed
    assert "Traceback" not in printed
    left = set(statuses(directory).values())
    assert "interrupted" in left
    assert left <= {"interrupted", "finished"}
    assert resume(directory, "hydra/launcher=stacked") == 0
    assert_equal(whole, directory)


@pytest.mark.long
def test_no_node_that_is_large_enough_is_a_line(tmp_path, capsys):
    arguments = ["hydra.launcher.cores=4096", f"hydra.sweep.dir={tmp_path / 'x'}"]
    assert main([*SMALL, ON_RAY, *arguments, "-m"]) == 2
    assert "hydra.launcher.cores=4096" in capsys.readouterr().err
    assert not list(tmp_path.glob("x/*/run.json"))
    assert not ray.is_initialized()
