"""The long runs behind notebooks 04 to 12, one file a study; ``python -m lotteryhelpers.studies`` makes them.

A file says what is asked and what was expected, before any run. Its ``rows(dataset, ...)`` yields tidy rows
one by one: with the sizes ``STORED`` on MNIST they are the tables in ``notebooks/results/``, with ``LIVE``
they take a reader's minutes on any dataset. ``TABLES`` says what the tables are called and sorted by."""

#: In the notebooks' order.
STUDIES = ("thresholds", "criteria", "rounds", "masks", "when", "frugal", "transfer", "frontier", "costs",
           "gradients", "seconds", "posteriors", "elsewhere")
