"""Python runs this at its start where the folder is on its path: counts the steps that a kernel and its workers train.

Each training appends its steps to the file that $STEPS_TRAINED names.
"""

import importlib.util
import os
import sys


class Counting:
    """Finds one module as the others would, and puts a counter around its ``train``."""

    def find_spec(self, name, path=None, target=None):
        if name != "lotteryhelpers.training":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            train = module.train

            def counted(*args, **kwargs):
                snapshots, history = train(*args, **kwargs)
                with open(os.environ["STEPS_TRAINED"], "a") as file:
                    file.write(f"{history.step.iloc[-1]}\n")
                return snapshots, history

            module.train = counted

        spec.loader.exec_module = exec_module
        return spec


if "STEPS_TRAINED" in os.environ:
    sys.meta_path.insert(0, Counting())
