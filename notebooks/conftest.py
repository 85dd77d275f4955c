"""How the tests run the notebooks: on the embedded digits, with a cache folder of this run."""

import os
import tempfile

os.environ["DATASET"] = "digits"
os.environ.setdefault("LOTTERYHELPERS_CACHE_DIR", tempfile.mkdtemp(prefix="lotteryhelpers-test-"))
