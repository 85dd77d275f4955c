"""A notebook in one kernel, executed again and again: what was trained is remembered, what was changed is undone."""

import os

import nbclient
import nbformat
from common import ROOT
from jupyter_client.manager import AsyncKernelManager
from nbclient.util import run_sync

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
BY_NUMBER = {path.name[:2]: path for path in NOTEBOOKS}

#: Runs after a page's parameters. Trainings that have been are given again, sweeps run on the tests' own cluster;
#: the modules are as they were.
REMEMBER = """
import builtins, contextlib, sys
import lotteryhelpers.evidence
lotteryhelpers.evidence.asserted = asserted = lambda stored: contextlib.nullcontext()  # a reader's settings are the stored ones here: claims must hold
def _remembered(real, known={}):
    def instead(*args, **kwargs):
        named = lambda v: v.fingerprint if isinstance(v, lh.Dataset) else v
        try:
            key = lh.storage.key_of(name=real.__name__, args=[*map(named, args)],
                                    kwargs={k: named(v) for k, v in kwargs.items()})
        except (ValueError, TypeError):  # a function among them
            return real(*args, **kwargs)
        if key not in known:
            known[key] = real(*args, **kwargs)
        return known[key]
    return instead
if not hasattr(builtins, "_before"):
    import functools, lotteryhelpers.storage
    from distributed import Client
    from lotteryhelpers.studies import shared
    _client = Client(os.environ["CLUSTER"])
    lh.sweep = functools.partial(lh.sweep, client=_client)
    shared.sweep_rows = lambda *args, _real=shared.sweep_rows, _there=_client, **options: _real(*args, **options | {"client": _there})
    for _name in ("train_bayesian", "train_ticket", "iterative_magnitude_pruning", "train_supermask"):
        setattr(lh, _name, _remembered(getattr(lh, _name)))
    builtins._before = [(m, dict(vars(m))) for m in [
        lh, *[sys.modules[n] for n in sys.modules if n in ("pandas", "matplotlib.pyplot") or n.startswith("lotteryhelpers.studies.")]]]
for _module, _names in builtins._before:
    for _name, _value in _names.items():
        setattr(_module, _name, _value)
"""
#: Runs before the first cell.
SETTINGS = """%reset -f
import builtins, os
builtins._environment = getattr(builtins, "_environment", dict(os.environ))
os.environ.clear()
os.environ.update(builtins._environment | {!r})
"""
#: Without a figure drawn: for runs that only ask what the claims say.
UNSEEN = """
plt.show = lambda: plt.close("all")
"""


class Page:
    """A notebook and a kernel for it."""

    def __init__(self, path, environment):
        """Start the kernel in the notebook's folder."""
        self.path, self.client = path, None
        self.manager = AsyncKernelManager()
        run_sync(self.manager.start_kernel)(cwd=str(path.parent), env=os.environ | environment)

    def run(self, insert="", environment=None, until=()):
        """Execute with ``insert`` after the parameters, ``until`` the last cell with one of these tags or to the end.

        Gives the notebook; errors are outputs.
        """
        notebook = nbformat.read(self.path, as_version=4)
        tagged = [i for i, c in enumerate(notebook.cells) if {*until} & {*c.metadata.get("tags", [])}]
        del notebook.cells[max(tagged, default=len(notebook.cells)) + 1 :]
        place = next(i for i, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", []))
        settings = SETTINGS.format(environment or {})
        notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(REMEMBER + insert))
        notebook.cells.insert(0, nbformat.v4.new_code_cell(settings))
        client = nbclient.NotebookClient(notebook, km=self.manager, timeout=1200, allow_errors=True)
        client.kc = self.client and self.client.kc
        client.execute()
        self.client = client
        assert not [failed(c) for c in (notebook.cells[0], notebook.cells[place + 2]) if failed(c)], notebook.cells[place + 2]
        del notebook.cells[place + 2], notebook.cells[0]
        return notebook

    def close(self):
        """End the kernel."""
        if self.client:
            self.client.kc.stop_channels()
        run_sync(self.manager.shutdown_kernel)(now=True)


def code_cells(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


def printed(notebook):
    return "\n".join(o.text for c in code_cells(notebook) for o in c.outputs if o.output_type == "stream")


def failed(cell):
    """The name of the error that a cell raised, or None."""
    return next((o.ename for o in cell.get("outputs", []) if o.output_type == "error"), None)
