"""A sweep on a cluster: two worker processes of dask, on this machine."""

import os
import threading
import time
from dataclasses import replace

import joblib
import psutil
import pytest
from dask.distributed import Client, LocalCluster

from zimp.lab.experiments import Sweep, run

pytestmark = pytest.mark.slow
SWEEP = Sweep("conv", ("topological", "random_tree"), levels=2, steps=20, seeds=(3, 1, 2))


@pytest.fixture(scope="module")
def client():
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)
    with cluster, Client(cluster) as client, joblib.parallel_config(backend="dask"):
        yield client


@pytest.mark.parametrize(
    "sweep", [SWEEP, replace(SWEEP, methods=("trained", "random_mask"))], ids=["levels", "one_shot"]
)
@pytest.mark.parametrize("together", [False, True])
def test_a_cluster_gives_what_one_process_gives(client, sweep, together):
    with joblib.parallel_config(backend="sequential"):
        expected = run(sweep, together=together).values
    assert run(sweep, jobs=-1, together=together).values == expected


def test_an_error_on_a_worker_says_in_which_run_it_was(client):
    with pytest.raises(ValueError, match="name='imagenet' is unknown") as caught:
        run(replace(SWEEP, data="imagenet"), jobs=-1)
    assert any("method 'topological' with seed" in note for note in caught.value.__notes__)
    assert caught.value.results.values == {"topological": {}, "random_tree": {}}


def test_a_worker_that_is_killed_on_the_way_changes_nothing(client):
    sweep = replace(SWEEP, steps=60)
    with joblib.parallel_config(backend="sequential"):
        expected = run(sweep).values
    processes = {address: psutil.Process(pid) for address, pid in client.run(os.getpid).items()}
    runs_at = {}

    def kill():
        while not any(runs_at.values()):
            time.sleep(0.01)
            runs_at.update(client.run(lambda dask_worker: dask_worker.state.executing_count))
        next(processes[address] for address, count in runs_at.items() if count).kill()

    killer = threading.Thread(target=kill)
    killer.start()
    results = run(sweep, jobs=-1)
    killer.join()
    assert sum(process.is_running() for process in processes.values()) == 1
    assert results.values == expected
