"""What a notebook says when a cell needs something that an earlier cell makes."""

import sys
import traceback

HINT = (": if an earlier cell makes it, run the cells above first (Jupyter: Run > Run All Above Selected "
        "Cell; Colab: Runtime > Run before); if not, look for a slip in the spelling")  # fmt: skip


def explain_missing_names():
    """In IPython, let a NameError in a reader's own cell say what to do; elsewhere do nothing."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or NameError in shell.custom_exceptions:
        return
    others, show_other = shell.custom_exceptions, shell.CustomTB  # Colab has some

    def show(shell, kind, error, trace, tb_offset=None):
        if kind is not NameError and issubclass(kind, others):
            return show_other(kind, error, trace, tb_offset)
        frame, _ = list(traceback.walk_tb(trace))[-1]
        if kind is NameError and frame.f_globals is shell.user_ns:
            error.args = (f"{error}{HINT}",)
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)

    shell.set_custom_exc((NameError, *others), show)
