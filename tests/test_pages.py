"""The pages on the digits and, where MNIST is at hand, on it: one kernel each, looked at from all sides."""

import pathlib
import re

import nbformat
import pytest
from common import MNIST_DIR, needs_mnist
from pages import BY_NUMBER, UNSEEN, Page, code_cells, failed, printed

#: Steps that a page's live run on the digits may train, its workers' included: a tenth above what it needs with
#: no kept result.
BUDGETS = {"00": 0, "01": 3_200, "02": 9_500, "03": 4_500, "04": 51_000, "05": 68_000, "06": 37_000, "07": 103_000,
           "08": 47_000, "09": 8_800, "10": 3_600, "11": 130_000, "12": 60_000}  # fmt: skip
#: Seeds of their live rows: as few as show what a page claims of any dataset.
SEEDS = {"04": "3", "05": "3", "06": "3", "07": "4", "08": "2", "09": "2", "10": "2", "11": "2", "12": "2"}
POSTERIOR_ONLY = ("01", "02", "03", "10")  # of what they announce; another page may have kept it
MASKS, TABLES = ("02", "03", "04"), ("05", "06", "07", "08", "09", "10", "11", "12")
#: Pages whose trainings on the digits are a third as long: what they must show there they show then too.
SHORTER = ("04", "05", "06", "07", "08", "10")
QUICKER = """
import dataclasses
parts = 4 if "study" in globals() else 3  # page 06's new weights are the further behind, the shorter
def third(config):
    return dataclasses.replace(config, epochs=max(1, config.epochs // parts))
recipe_as_it_is = lh.recipe
def quicker(dataset, seed=0, recipe=lh.recipe):
    whole = recipe(dataset, seed)
    return lh.Recipe(third(whole.bayesian), third(whole.ticket), tuple(epoch / parts for epoch in whole.snapshots))
real_config = lh.TrainConfig
if "frugal" not in globals():  # whose budgets are in steps
    lh.TrainConfig = lambda *args, **kwargs: third(real_config(*args, **kwargs))
lh.recipe = quicker
lh.train_supermask = lambda dataset, start, config, learn=lh.train_supermask, **options: learn(
    dataset, start, dataclasses.replace(config, epochs=3 * config.epochs), **options)  # these need all
shared = sys.modules.get("lotteryhelpers.studies.shared")
if hasattr(globals().get("masks"), "TABLES"):  # the others' claims show with three
    shared.table_of = lambda dataset, study, name, seeds, real=shared.table_of: real(dataset, study, name, seeds[:3] if name == "07_tickets" else seeds)
if "transfer" in globals():
    transfer.LIVE = transfer.LIVE | {"finding": {name: third(config) for name, config in transfer.LIVE["finding"].items()}}
"""
#: Page 04's masks have to be a settled posterior's.
SETTLED = """
lh.recipe = lambda dataset, seed=0, real=recipe_as_it_is: dataclasses.replace(real(dataset, seed), ticket=third(real(dataset, seed).ticket))
"""


def quicker(number):
    """What runs after the parameters for shorter trainings."""
    return QUICKER * (number in SHORTER) + SETTLED * (number == "04")


@pytest.fixture(scope="session")
def pages(session_cache, cluster, counted):
    """``pages(number)``: the page's kernel, with its first run (all cells, on the digits); one is open at a time."""
    opened = {}

    def steps_trained():
        return sum(map(int, pathlib.Path(counted["STEPS_TRAINED"]).read_text().split()))

    def page_of(number):
        if number not in opened:
            close()
            before = steps_trained()
            opened[number] = page = Page(BY_NUMBER[number], counted | {
                "DATASET": "digits", "LOTTERYHELPERS_CACHE_DIR": session_cache,
                "CLUSTER": cluster.scheduler.address, **dict.fromkeys(["NUM_SEEDS", "NUM_TRIALS"], SEEDS.get(number, "5")),
            })  # fmt: skip
            page.first = page.run(quicker(number))
            page.steps = steps_trained() - before
        return opened[number]

    def close():
        while opened:
            opened.popitem()[1].close()

    yield page_of
    close()


@pytest.fixture
def page(number, pages):
    return pages(number)


def of(numbers):
    """A test of these pages."""
    return pytest.mark.parametrize("number", numbers)


def claims(notebook, *tags):
    return [c for c in code_cells(notebook) if {*tags} & {*c.metadata.get("tags", [])}]


def refused(notebook, *tags):
    """Whether all claims with the tags, and there are some, end with an AssertionError."""
    found = claims(notebook, *tags)
    return found and {failed(c): c.source for c in found}


@of(BY_NUMBER)
def test_a_page_runs_on_the_digits_top_to_bottom_within_its_budget(page, number):
    wrong = [(c.source, c.outputs[-1]) for c in code_cells(page.first) if failed(c)]
    assert not wrong
    stored = code_cells(nbformat.read(page.path, as_version=4))
    compared = [(ours, theirs) for ours, theirs in zip(code_cells(page.first), stored, strict=True) if "NBVAL_CHECK_OUTPUT" in ours.source]
    assert compared
    for ours, theirs in compared:  # what holds for every dataset
        assert shown(ours) == shown(theirs), ours.source
    assert page.steps <= BUDGETS[number]
    if said := re.search(r"if not kept: (\d+) ticket\(s\), (\d+) posterior\(s\)", printed(page.first)):
        lengths = {"04": (13, 150), "06": (10, 37)}.get(number, (13, 50) if number in SHORTER else (40, 150))  # here
        epochs = sum(int(n) * length for n, length in zip(said.groups(), lengths, strict=True))
        done = page.steps / (19 * epochs)  # an epoch of the digits has 19 steps
        assert (0.6 if number not in POSTERIOR_ONLY else 0) <= done < 1.5, page.steps


def shown(cell):
    """What a cell printed and gave as text."""
    return "".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


SABOTAGE = """
kind, rng = {kind!r}, np.random.default_rng(17)
def instead(masks):
    if kind == "ones":
        return tuple(np.ones(m.shape, bool) for m in masks)
    flat = [rng.permutation(m.ravel()).reshape(m.shape) for m in masks]
    return tuple(flat)
for name in ("variance_masks", "keep_counts", "keep_fraction", "masks_for"):
    def replaced(*args, _real=getattr(lh, name), **kwargs):
        return instead(_real(*args, **kwargs))
    setattr(lh, name, replaced)
"""
MIXED_KINDS = """
import pandas as pd
def mixed_kinds(rows, rng=np.random.default_rng(17)):
    rows = rows.reset_index(drop=True).copy()
    names = [n for n in ("early_stopping_step", "test_accuracy_at_best", "test_accuracy", "test_accuracy_sampled") if n in rows]
    names += [n for n in ("overlap", "rank_to_magnitude", "validation", "test", "nll", "validation_loss", "validation_accuracy",
                        "median", "rank_to_end", "held") if n in rows]
    names += [n for n in rows if n.endswith((" validation", " test", " noise"))]
    within = [n for n in ("trial", "seed") if n in rows]
    if not within:  # seconds, say
        return rows
    if "overlap" in rows:  # which controls don't have
        within = [*within, np.array(rows[names].notna()).all(axis=1)]
    for _, part in rows.groupby(within):
        rows.loc[part.index, names] = part[names].to_numpy()[rng.permutation(len(part))]
        if "reaches_dense_loss" in rows:
            timed = part.index[part.reaches_dense_loss.notna()]
            rows.loc[timed, "reaches_dense_loss"] = rng.permutation(part.reaches_dense_loss[timed])
    return rows
make_frame, read_csv = pd.DataFrame, pd.read_csv
def mixed_frame(data=None, *args, **kwargs):
    rows = make_frame(data, *args, **kwargs)
    return mixed_kinds(rows) if {"trial", "seed"} & set(rows) and len(rows) > 10 else rows
pd.DataFrame = mixed_frame
pd.read_csv = lambda path, **options: mixed_kinds(read_csv(path, **options))
"""
SHORT = """
load_dataset, real_config = lh.load_dataset, lh.TrainConfig
lh.load_dataset = lambda *args, **kwargs: load_dataset(*args, **{{"num_train": 3000}} | kwargs)
class Short(real_config):
    def __init__(self, epochs, *args, **kwargs):
        super().__init__(1, *args, **kwargs)
lh.TrainConfig = Short
lh.recipe = lambda dataset, seed=0: lh.Recipe(real_config(1, seed=seed), real_config({epochs}, seed=seed), (0, 1))
"""
#: For what only reads stored rows: a cell that trains again ends at once, and no claim about them needs it.
UNTRAINED = """
lh.train_bayesian = lh.train_ticket = lh.train_supermask = lh.iterative_magnitude_pruning = lh.sweep = None
import lotteryhelpers.studies.shared
lotteryhelpers.studies.shared.gather = None
if "seconds" in globals():  # page 10 times steps of its own beside the stored ones
    seconds.rows = lambda *_, **__: pd.read_csv(lotteryhelpers.studies.shared.RESULTS / "10_seconds.csv").to_dict("records")
"""
MNIST = {"DATASET": "mnist", "LOTTERYHELPERS_DATA_DIR": MNIST_DIR}


@of(MASKS)
@pytest.mark.parametrize("kind", ["ones", "random"])
def test_claims_about_masks_fail_for_any_other_mask(page, number, kind):
    mixed = MIXED_KINDS * (number == "04")  # its rows are made in workers, where nothing is sabotaged
    notebook = page.run(quicker(number) + SABOTAGE.format(kind=kind) + mixed + UNSEEN, until=["claim"])
    assert refused(notebook, "claim").keys() == {"AssertionError"}


@of(TABLES)
def test_claims_about_live_rows_fail_when_these_are_mixed_up(page, number):
    assert refused(page.run(quicker(number) + MIXED_KINDS + UNSEEN, until=["claim"]), "claim").keys() == {"AssertionError"}


@needs_mnist
@of(["00", "04", *TABLES])
def test_claims_about_stored_rows_fail_when_these_are_mixed_up(page, number):
    tags = ["claim", "mnist-claim"] if number != "04" else ["mnist-claim"]  # its other one is about a mask
    notebook = page.run(MIXED_KINDS + SHORT.format(epochs=1) + UNTRAINED + UNSEEN, MNIST, tags)
    assert len(claims(notebook, *tags)) >= 2
    assert refused(notebook, *tags).keys() == {"AssertionError"}


@needs_mnist
@of(["04", *TABLES])
def test_claims_about_stored_rows_have_the_words_that_the_tables_give(page):
    told = claims(page.run(SHORT.format(epochs=1) + UNTRAINED + UNSEEN, MNIST, ["mnist-claim"]), "mnist-claim")
    assert told and {failed(c): c.source for c in told}.keys() <= {None, "NameError"}  # of what is trained live


@of(["03", "04"])
def test_a_parameter_from_the_environment_takes_effect(page, number):
    if number == "04":
        notebook = page.run(quicker(number) + UNSEEN, {"THRESHOLD": "0.3", "NUM_SEEDS": "2"})
        assert "threshold 0.3 keeps" in printed(notebook) and failed(code_cells(notebook)[3]) is None
    else:
        for density in (0.02, 0.95):
            text = printed(page.run(UNSEEN, {"DENSITY": str(density)}))
            found = re.search(r"DENSITY = ([\d.]+): kept ([\d,]+) of ([\d,]+) weights", text)
            kept, total = (int(found.group(i).replace(",", "")) for i in (2, 3))
            assert float(found.group(1)) == density and kept == round(density * total)
