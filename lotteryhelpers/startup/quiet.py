"""Import TensorFlow without its start-up lines on standard error, and lose no real message.

They come from C++, past ``sys.stderr`` and any log level: so file descriptor 2 itself is turned to a
temporary file for as long as the imports take, whose text is shown if they fail.
"""

import contextlib
import functools
import gc
import multiprocessing
import os
import sys
import tempfile


@contextlib.contextmanager
def quiet_stderr():
    """Hold back what is written to file descriptor 2; show it if the block raises."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@functools.cache
def wake_xla():
    """Compile something tiny, quietly and once: TensorFlow 2.20 logs a line at a process' first compilation.
    It takes about a tenth of a second, and settles how many threads TensorFlow has."""
    import tensorflow as tf

    with quiet_stderr():
        tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(0))


def import_tensorflow():
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

        tf.config.list_physical_devices()
        if not in_worker:
            wake_xla()
        gc.freeze()
