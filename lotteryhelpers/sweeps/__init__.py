"""Many runs: seeds by criteria by densities, on this machine's cores or a Dask cluster."""

from lotteryhelpers.sweeps.sweeping import Spec, specs_of, sweep
