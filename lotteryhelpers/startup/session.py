"""A session's start: TensorFlow without its lines on standard error.

The lines come from C++, past ``sys.stderr`` and any log level: so file descriptor 2 is turned, during the
imports, to a process that shows what came if they fail, or if TensorFlow ends this process."""

import contextlib
import functools
import gc
import multiprocessing
import os
import subprocess
import sys

_HOLD = """import os
held = b""
while not held.endswith(b"\\0") and (more := os.read(0, 65536)):
    held += more
held.endswith(b"\\0") or os.write(2, held)"""


@contextlib.contextmanager
def quiet_stderr():
    """Hold back what is written to file descriptor 2; show it if the block raises or ends the process."""
    try:
        kept, hold = os.dup(2), [sys.executable, "-IS", "-c", _HOLD]
        holder = subprocess.Popen(hold, stdin=subprocess.PIPE, start_new_session=True)  # Ctrl-C passes it by
    except (OSError, TypeError):  # no standard error, as under pythonw, or no Python that could be started
        yield
        return
    print(end="", file=sys.stderr, flush=True)
    os.dup2(holder.stdin.fileno(), 2)
    try:
        yield
        os.write(2, b"\0")  # all went well
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        holder.communicate()


@functools.cache
def wake_xla():
    """Compile something tiny, quietly, once: TensorFlow 2.20 logs a line then. It settles the threads too."""
    import tensorflow as tf

    with quiet_stderr():
        tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(0))


def import_tensorflow() -> None:
    """Import TensorFlow, tf_keras and TensorFlow Probability, and wake XLA, quietly. A worker process wakes
    it later, when a sweep has set its threads; nor has a progress bar a place there."""
    process = multiprocessing.current_process()  # "inheriting": a spawned one that reads its parent's script
    in_worker = multiprocessing.parent_process() is not None or getattr(process, "_inheriting", False)
    if in_worker:
        os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr(), contextlib.ExitStack() as ending:
        if gc.isenabled():
            ending.callback(gc.enable)
        gc.disable()  # a million objects that stay: to look for garbage among them took a quarter of the time
        import tensorflow as tf
        import tensorflow_probability  # noqa: F401
        import tf_keras  # noqa: F401

        if tf.config.list_physical_devices("GPU") and "CUDA_VISIBLE_DEVICES" not in os.environ:
            tf.config.set_visible_devices([], "GPU")  # on one nothing here was ever tried, or its rows made
            ending.callback(print, "lotteryhelpers leaves the GPU alone: its README says why, under Colab")
        if not in_worker:
            wake_xla()
        gc.freeze()
