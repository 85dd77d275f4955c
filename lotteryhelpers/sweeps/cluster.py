"""Where runs are made: on the reader's Dask cluster, or on one of this machine's processes."""

import contextlib
import logging
import os
import tempfile
from multiprocessing import spawn

import tensorflow as tf

from lotteryhelpers.startup.quiet import wake_xla

ENVIRONMENT = {"TF_NUM_INTRAOP_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1", "TQDM_DISABLE": "1"}


@contextlib.contextmanager
def connected(client=None, workers=None):
    """A ``distributed.Client``: the reader's, or one of processes with one thread each, closed at the end.

    Args:
        client: the reader's own, given back as it is once it has a worker; None starts processes.
        workers: how many; None is one for each core.
    """
    if client is not None:
        client.wait_for_workers(1)  # a queue may take its time
        yield client
        return
    from dask.system import CPU_COUNT  # here: it takes a second, which only a sweep should cost
    from distributed import Client, LocalCluster

    workers = workers or CPU_COUNT
    with contextlib.ExitStack() as ending:
        ending.enter_context(_own_main_left_out())
        folder = ending.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        # Without a worker at first, so that an interruption while they start finds a cluster to close. No
        # limit of memory, because TensorFlow's 300 MB could pause a worker; no dashboard, and no log lines.
        cluster = ending.enter_context(LocalCluster(
            n_workers=0, threads_per_worker=1, processes=True, env=ENVIRONMENT, memory_limit=0,
            local_directory=folder, silence_logs=logging.CRITICAL,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0", "allowed_failures": 1},
        ))  # fmt: skip
        client = ending.enter_context(Client(cluster, set_as_default=False))
        cluster.scale(workers)
        client.wait_for_workers(workers, timeout=300)
        yield client


@contextlib.contextmanager
def _own_main_left_out():
    """Let workers start without the reader's script: they get what they need by value.

    A script then needs no ``if __name__ == "__main__"``, and what it takes to run isn't done in each worker.
    Nannies also leave variables in the environment, meant for their workers, which are taken out again.
    """
    whole, before = spawn.get_preparation_data, set(os.environ)

    def prepare(name):
        data = whole(name)
        is_worker = name.startswith("Dask Worker")
        return {key: value for key, value in data.items() if not (is_worker and key.startswith("init_main"))}

    spawn.get_preparation_data = prepare
    try:
        yield
    finally:
        spawn.get_preparation_data = whole
        for name in set(os.environ) - before:
            del os.environ[name]


def on_one_thread():
    """The same rows everywhere: one thread, and no GPU, which the workers of a machine would fight for."""
    try:
        tf.config.set_visible_devices([], "GPU")
        if os.environ.get("TF_NUM_INTRAOP_THREADS") != "1":
            tf.config.threading.set_intra_op_parallelism_threads(1)
    except RuntimeError:
        raise RuntimeError(
            "TensorFlow already runs on several threads or a GPU in this worker; start fresh worker "
            "processes, under a nanny or with TF_NUM_INTRAOP_THREADS=1 and CUDA_VISIBLE_DEVICES=-1 in their "
            "environment"
        ) from None
    wake_xla()
