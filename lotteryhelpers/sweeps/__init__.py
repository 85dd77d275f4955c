"""Many runs: seeds by criteria by densities, on this machine's cores or a Dask cluster."""

from lotteryhelpers.sweeps.runs import Spec, specs_of
from lotteryhelpers.sweeps.sweeping import sweep
