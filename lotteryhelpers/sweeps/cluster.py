"""Where runs are made: on the reader's Dask cluster, or on one of this machine's processes."""

import contextlib
import itertools
import logging
import os
import sys
import tempfile
from multiprocessing import spawn

import tensorflow as tf

from lotteryhelpers.startup.session import wake_xla
from lotteryhelpers.storage import _maker as maker

ENVIRONMENT = {"TF_NUM_INTRAOP_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1", "TQDM_DISABLE": "1"}


@contextlib.contextmanager
def connected(client=None, workers=None):
    """A ``distributed.Client``: the reader's, or one of processes with one thread each, closed at the end.
    ``workers`` is how many processes; None is one a core. A RuntimeError names a worker of the reader's that
    has another text of this package, or other versions."""
    if client is not None:
        if client.asynchronous:
            raise ValueError("client is asynchronous; give one made with asynchronous=False")
        client.wait_for_workers(1)  # a queue may take its time
        yield _checked(client)
        return
    import dask.system  # here: it takes a second, which only a sweep should cost
    from distributed import Client, LocalCluster

    whole = spawn.get_preparation_data
    of_nannies = {*dask.config.get("distributed.nanny.pre-spawn-environ"), "PYTHONHASHSEED"} - set(os.environ)

    def without_main(name):
        vars(sys.modules["__main__"]).setdefault("__spec__", None)  # IPython's %reset takes it away
        return {k: v for k, v in whole(name).items() if not (k.startswith("init_main") and "Dask" in name)}

    with contextlib.ExitStack() as ending:
        # Workers get by value what they need of the reader's script: it isn't run again, and needs no guard.
        ending.callback(setattr, spawn, "get_preparation_data", whole)
        spawn.get_preparation_data = without_main
        # Nannies set these for their workers, but in this process.
        ending.callback(lambda: [os.environ.pop(name, None) for name in of_nannies])
        # Seconds after a death Dask gives a worker up that it finds dead, though one may be starting again.
        ending.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"}))
        folder = ending.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        # Without a worker at first, so that an interruption while they start finds a cluster to close. No
        # limit of memory, because TensorFlow's 300 MB could pause a worker; no dashboard, and no log lines. A
        # terminal's Ctrl-C reaches workers too, which leave it to this process.
        cluster = ending.enter_context(LocalCluster(
            n_workers=0, threads_per_worker=1, processes=True, env=ENVIRONMENT, memory_limit=0,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0", "allowed_failures": 1},
            preload="import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
            local_directory=folder, silence_logs=logging.CRITICAL))  # fmt: skip
        client = ending.enter_context(Client(cluster, set_as_default=False))
        cluster.scale(workers := workers or dask.system.CPU_COUNT)
        client.wait_for_workers(workers, timeout=300)
        yield _checked(client)


def _checked(client):
    for address, made_by in client.run(maker).items():
        if made_by != maker():
            raise RuntimeError(f"client has the worker {address} with another lotteryhelpers, TensorFlow or "
                               f"NumPy, {made_by}; here it is {maker()}: start both from one")  # fmt: skip
    return client


def ended(client, jobs):
    """Yield the name and the future of each job, ``(name, function, *arguments)``, when that has ended."""
    from distributed import as_completed  # here: it takes a second

    left, tasks, in_hand = iter(jobs), as_completed(loop=client.loop), {}
    try:
        while True:
            # One a worker: whatever else a worker that dies had been given would be suspect too.
            room = max(sum(client.nthreads().values()), 1) - len(in_hand)  # none while one restarts
            for name, *job in itertools.islice(left, max(room, 0)):
                tasks.add(future := client.submit(on_one_thread, *job, pure=False))
                in_hand[future] = name
            if not in_hand:
                return
            future = next(tasks)
            yield in_hand.pop(future), future
    finally:  # where the caller stops, nothing trains on unseen
        client.cancel([*in_hand])


def on_one_thread(function, *arguments, **options):
    """``function(*arguments, **options)`` on one thread, on no GPU to be fought for: the same everywhere."""
    try:
        tf.config.set_visible_devices([], "GPU")
        if os.environ.get("TF_NUM_INTRAOP_THREADS") != "1":
            tf.config.threading.set_intra_op_parallelism_threads(1)
    except RuntimeError:
        wrong = "TensorFlow already runs on several threads or a GPU in this worker; start fresh ones, under"
        raise RuntimeError(f"{wrong} a nanny or with {ENVIRONMENT} in their environment") from None
    wake_xla()
    return function(*arguments, **options)
