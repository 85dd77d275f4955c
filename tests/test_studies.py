"""The studies: rows that look like the stored tables, here and on a cluster; resumed, listed, written."""

import dataclasses
import importlib
import json
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import pandas as pd
import pytest
from common import ROOT

import lotteryhelpers as lh
from lotteryhelpers.studies import STUDIES, __main__, frugal, gradients, posteriors, shared, when
from lotteryhelpers.studies.shared import subset

RESULTS = ROOT / "notebooks" / "results"
MODULES = {name: importlib.import_module(f"lotteryhelpers.studies.{name}") for name in STUDIES}
TABLES = [(name, table) for name, module in MODULES.items() for table in module.TABLES]
LONG, SHORT = lh.TrainConfig(2, 64, 3e-3), lh.TrainConfig(1, 64, 3e-3)
BOTH = {"bayesian": LONG, "ticket": SHORT}
SMALL_LENET = (lh.Conv(2, 3), 8)
TINY = {
    "criteria": {"seeds": (7,), "named_seeds": (7,), "densities": (0.2,), "arm_densities": (0.2,), "priors": (0.3,),
                 "kl_weights": (1.0,)} | BOTH,
    "thresholds": {"seeds": (7,), "named_seeds": (7,)} | BOTH,
    "rounds": {"seeds": (7,), "kinds": ("one-shot, other order", "snr"),
               "lenet": {"seeds": (7,), "hidden": (lh.Conv(4, 3), 60), "lengths": {"ticket": SHORT}},
               "lengths": dict.fromkeys(("ticket", "bayesian"), lh.TrainConfig(1, 128))},
    "masks": {"seeds": (7,), "densities": (0.2,), "action_densities": (), "frozen_densities": (0.2,), "grid": (0.5,),
              "lengths": (LONG,), "ticket": SHORT, "supermask": lh.TrainConfig(2, 64, 0.1)},
    "when": {"seeds": (7,), "epochs": (0, 1), "densities": (0.2,), "ticket": SHORT},
    "frugal": {"seeds": (7,), "images": (60,), "added_images": (60,), "densities": (0.2,), "batch": 60, "rate": 3e-3,
               "steps": {"posterior": 4, "dense": 8}, "epochs": {"posterior": 2, "dense": 3}, "ticket": SHORT},
    "transfer": {"seeds": (7,), "pairs": dict.fromkeys(("08_transfer", "12_transfer"), ("0 to 4", "5 to 9")), "densities": (0.2,),
                 "finding": {"posterior": LONG, "dense": LONG}, "ticket": SHORT},
    "frontier": {"seeds": (7,), "batch": 64, "budgets": (1, 2), "dense_rates": (3e-3,),
                 "tickets": ((("dense", 120, 1, 60), "20% of the weights", 3e-3), ("none", "40-100-50", 3e-3),
                             ("snip", "40-100-50, 20% of the weights", 3e-3), ("supermask, 1 epochs", "learned", 0.1),
                             ("IMP, 7 x 1 epochs", "21% of the weights", 3e-3))},
    "costs": {"seeds": (7,), "turns": 1, "epochs": 1, "batch": 64, "recipes": (("none", "40-100-50"),)},
    "gradients": {"seeds": (7,), "draws": {16: 4}, "bayesian": LONG, "epochs": 2, "rates": {64: 3e-3}},
    "seconds": {"seeds": (7,), "turns": 1, "steps": {32: 4}},
    "posteriors": {"seeds": (7,), "settling_seeds": (7,), "densities": (0.2,), "thresholds": (0.3,), "cost_seeds": (7,), "rates": (3e-3, 3e-3),
                   "budgets": (1, 2), "finders": (("ivon", 120, 1, 60), ("dense", 120, 1, 60)),
                   "lengths": {"settled": LONG, "Flipout": LONG, "cheap": SHORT, "ticket": SHORT}},
    "elsewhere": {"seeds": (7,), "densities": (0.2,), "lenet": SMALL_LENET, "lengths": (LONG, LONG, SHORT),
                  "lenet_lengths": (LONG, LONG, SHORT)},
}  # fmt: skip


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that studies take for the checkout."""
    (tmp_path / "notebooks" / "results").mkdir(parents=True)
    monkeypatch.setattr(shared, "RESULTS", tmp_path / "notebooks" / "results")
    return tmp_path


def kept_files():
    return sorted(pathlib.Path(os.environ["LOTTERYHELPERS_CACHE_DIR"]).glob("studies/*"))


def without_seconds(rows):
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
    return sorted(rows, key=json.dumps)


@pytest.mark.parametrize(("name", "table"), TABLES, ids=[table for _, table in TABLES])
def test_tiny_rows_on_digits_have_the_stored_tables_columns(name, table, digits, cluster):
    options = {"table": table} if len(MODULES[name].TABLES) > 1 else {}
    if name in ("thresholds", "criteria"):  # else a sweep starts its own processes
        options["client"] = cluster
    rows = list(MODULES[name].rows(digits, **TINY[name], **options))
    stored = pd.read_csv(RESULTS / f"{table}.csv", keep_default_na=False)
    assert list(max(rows, key=len)) == list(stored.columns)
    assert all(set(row) <= set(stored.columns) for row in rows)
    assert not any(row.get("error") for row in rows)
    by = MODULES[name].TABLES[table].split()
    assert not pd.DataFrame(rows).duplicated(by).any() and not stored.duplicated(by).any()
    sizes = {key for key in TINY[name] if key not in ("bayesian", "ticket", "lengths", "supermask")}
    assert sizes <= MODULES[name].LIVE.keys() <= MODULES[name].STORED.keys() >= TINY[name].keys()


def test_rounds_of_a_network_with_convolutions(digits):
    """All rounds, and at some of them one cut and new weights, with equal counts."""
    rows = pd.DataFrame(MODULES["rounds"].rows(digits, **TINY["rounds"], table="12_rounds"))
    levels = {kind: list(part["round"]) for kind, part in rows.groupby("kind")}
    assert levels == {"iterative": [*range(19)]} | dict.fromkeys(("one-shot", "reinitialised"), [3, 7, 9, 15, 18])
    left = rows.pivot(index="round", columns="kind", values="weights_left").dropna()
    assert (left["iterative"] == left["one-shot"]).all() and (left["iterative"] == left["reinitialised"]).all()
    assert 0.8**18 < rows.weights_left.min() < 0.9**18  # convolutions and output lose half as much


@pytest.mark.parametrize(("name", "table"), TABLES, ids=[table for _, table in TABLES])
def test_stored_tables_were_made_with_what_the_study_says_now(name, table):
    about = json.loads((RESULTS / f"{table}.json").read_text())
    assert about["configuration"] == __main__.plain(MODULES[name].STORED)
    assert about["command"] == f"python -m lotteryhelpers.studies {name}"
    stored = pd.read_csv(RESULTS / f"{table}.csv", keep_default_na=False)
    assert len(stored) == about["rows"]
    assert not {"trial", "best_step", "test", "validation"} & set(stored)
    if {"test_accuracy", "seed"} <= set(stored) and table != "10_curves":
        assert (stored.steps.astype(int) >= 0).all()
    if "seeds" in about["configuration"] and "seed" in stored:
        own = {"11_costs": "cost_seeds", "11_settled": "settling_seeds", "05_criteria": "named_seeds",
               "05_named": "named_seeds"}.get(table, "seeds")  # fmt: skip
        sizes = about["configuration"]["lenet"] if table == "12_rounds" else about["configuration"]
        assert set(stored.seed) <= set(sizes[own])


def test_what_was_written_before_a_run_stands_in_the_study():
    for name in ("masks", "when", "frugal", "transfer", "gradients", "posteriors", "elsewhere"):
        assert "Written down before the first run" in MODULES[name].__doc__, name
    assert "Each written down before the first run" in MODULES["thresholds"].__doc__
    assert gradients.__doc__.count("Written down before the first run") == 2
    assert "Written down before Fashion-MNIST's first run" in MODULES["transfer"].__doc__
    assert "Written down before the second run" in MODULES["rounds"].__doc__
    assert "Expected before the pilot" in MODULES["frontier"].__doc__
    assert "Added when the first table was there" in frugal.__doc__


def test_an_interruption_in_the_middle_of_a_call_leaves_whole_files_and_loses_no_ticket(digits, monkeypatch):
    sizes, trained, train = TINY["when"] | {"epochs": (0, 0.5, 1)}, [], lh.train_ticket

    def interrupted(*args, **options):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(train(*args, **options))
        return trained[-1]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(lh, "train_ticket", interrupted)
        list(when.rows(digits, **sizes))
    files = {path: path.stat().st_mtime_ns for path in kept_files()}
    assert len(files) == 2 and all(json.loads(path.read_text()) for path in files)
    rows = list(when.rows(digits, **sizes))
    assert [row["test_accuracy"] for row in rows[:2]] == [ticket.test_accuracy for ticket in trained]
    assert {path: path.stat().st_mtime_ns for path in files} == files  # read, not made
    whole = kept_files()
    assert list(when.rows(digits, **sizes)) == rows and kept_files() == whole


def test_a_call_is_made_once_a_changed_setting_too_and_a_damaged_file_again(digits, capsys):
    made = []

    def call(dataset, seed, config):
        made.append((seed, config.epochs))
        yield {"seed": seed, "epochs": config.epochs}

    def rows(*settings):
        return list(shared.gather(digits, [(call, *one) for one in settings]))

    asked = [(1, LONG), (2, LONG), (1, SHORT), (1, LONG)]
    assert rows(*asked) == rows(*asked) == [{"seed": s, "epochs": c.epochs} for s, c in asked]
    assert made == [(1, 2), (2, 2), (1, 1)] and len(kept_files()) == 3
    other = lh.load_dataset("digits", num_train=100)
    assert list(shared.gather(other, [(call, 1, LONG)])) == [{"seed": 1, "epochs": 2}] and len(kept_files()) == 4
    damaged = kept_files()[0]
    damaged.write_text("[{")
    made.clear()
    for _ in range(2):
        rows(*asked)
        list(shared.gather(other, [(call, 1, LONG)]))
    assert len(made) == 1 and json.loads(damaged.read_text()) and len(kept_files()) == 4
    assert capsys.readouterr().out.count(f"{damaged} is damaged") == 1


def test_another_text_of_the_study_makes_its_rows_again(digits, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    text = "def answer(dataset, asked):\n    yield {'asked': asked, 'answer': 41}\n"
    (tmp_path / "a_study.py").write_text(text)
    study = importlib.import_module("a_study")
    monkeypatch.setitem(sys.modules, "a_study", study)  # and out of them at the end
    assert list(shared.gather(digits, [(study.answer, 1)])) == [{"asked": 1, "answer": 41}]
    (tmp_path / "a_study.py").write_text(text.replace("41", "42") + "# so that its size is another too\n")
    study = importlib.reload(study)
    for _ in range(2):
        assert list(shared.gather(digits, [(study.answer, 1)])) == [{"asked": 1, "answer": 42}]
    assert len(kept_files()) == 2


HERE = """
import json, sys, lotteryhelpers as lh
from lotteryhelpers.studies import when
sizes = dict(eval(sys.argv[1], {"TrainConfig": lh.TrainConfig}))
print(json.dumps(list(when.rows(lh.load_dataset("digits"), **sizes))))
"""


def test_rows_made_here_and_on_a_cluster_are_the_same_to_the_last_bit(digits, cluster, tmp_path):
    environment = os.environ | {"TF_NUM_INTRAOP_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT)}
    here = subprocess.run([sys.executable, "-c", HERE, repr(TINY["when"])], env=environment, cwd=tmp_path,
                          capture_output=True, text=True, check=True)  # fmt: skip
    rows = list(when.rows(digits, **TINY["when"], client=cluster))
    assert without_seconds(rows) == without_seconds(json.loads(here.stdout.splitlines()[-1]))
    again = list(when.rows(digits, **TINY["when"], client=cluster))
    assert sorted(rows, key=json.dumps) == sorted(again, key=json.dumps)  # seconds too: nothing was made


def test_a_run_writes_table_and_configuration(digits, cluster, checkout, monkeypatch, capsys):
    monkeypatch.setattr(gradients, "STORED", TINY["gradients"])
    listed = dict(line.split(maxsplit=3)[2:] for line in __main__.listing(checkout / "notebooks" / "results", MODULES))
    assert listed["10_curves"] == "missing"
    __main__.run(gradients, digits, cluster)
    assert "10_curves.csv: 6 rows" in capsys.readouterr().out
    table = pd.read_csv(checkout / "notebooks" / "results" / "10_curves.csv")
    about = json.loads((checkout / "notebooks" / "results" / "10_curves.json").read_text())
    assert about["rows"] == len(table) == 6 and about["cores"] == 1 and about["dataset"] == "digits"
    assert about["configuration"]["rates"] == {"64": 3e-3} and about["versions"]["lotteryhelpers"] == lh.__version__
    assert list(table.columns) == list(pd.read_csv(RESULTS / "10_curves.csv").columns)
    assert table.sort_values(gradients.TABLES["10_curves"].split()).index.is_monotonic_increasing
    (line,) = [x for x in __main__.listing(checkout / "notebooks" / "results", MODULES) if "10_curves" in x]
    assert line.split()[:4] == ["10", "gradients", "10_curves", "6"] and line.endswith("  stored")
    monkeypatch.setattr(gradients, "STORED", TINY["gradients"] | {"epochs": 3})
    (line,) = [x for x in __main__.listing(checkout / "notebooks" / "results", MODULES) if "10_curves" in x]
    assert line.endswith("stored with another configuration than STORED")


def test_the_command_lists_all_studies_and_refuses_an_unknown_one_by_name(capsys):
    __main__.main(["--list"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:3] for line in lines[1:]] == [list(one) for one in TABLES]
    assert all(line.endswith("  stored") for line in lines[1:])
    with pytest.raises(SystemExit, match="2"):
        __main__.main(["when", "wehn"])
    assert "there is no study 'wehn'; there are thresholds, criteria, rounds, masks," in capsys.readouterr().err


def test_without_a_checkout_the_command_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shared, "RESULTS", tmp_path / "notebooks" / "results")
    with pytest.raises(SystemExit, match="2"):
        __main__.main(["--list"])
    assert "results isn't there, where tables are written: this is no checkout" in capsys.readouterr().err


def test_a_subset_is_that_of_load_dataset_and_no_larger_than_the_data(digits):
    ours, theirs = subset(digits, 100, 3), lh.load_dataset("digits", num_train=100, seed=3)
    assert ours.fingerprint == theirs.fingerprint
    with pytest.raises(ValueError, match="images=3000 must be an integer from 1 to 1,257"):
        subset(digits, 3000, 3)


def test_settling_is_read_on_the_way_to_the_end(digits):
    rows = pd.DataFrame(posteriors.rows(digits, **TINY["posteriors"], table="11_settled"))
    last = rows[rows.epoch == rows.epoch.max()]
    assert sorted(rows.epoch.unique()) == [LONG.epochs * part for part in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)]
    assert len(rows) == 18 and np.allclose(last.rank_to_end, 1) and rows["median"].between(0.04, 0.1).all()


def test_without_noise_ivon_learns_no_curvature(digits, capsys):
    of = {"cheap": SHORT, "ticket": SHORT}
    signs, none, held = (posteriors.found(digits, f"IVON{name}", of) for name in ("", " without noise", ", curvature held"))
    assert not capsys.readouterr().out  # of a sigma that is what was put in there is nothing to be said
    for layer in range(3):
        assert np.ptp(signs.final.stddevs[layer]) > 1e-3  # each weight has its own
        assert np.ptp(none.final.stddevs[layer]) < 1e-6 and np.median(none.final.stddevs[layer]) > 0.03
        np.testing.assert_allclose(held.final.stddevs[layer], 0.02, rtol=1e-6)
        assert not np.allclose(none.final.means[layer], held.final.means[layer], atol=1e-4)  # they step otherwise


def test_several_networks_become_one_gaussian_and_what_never_moved_keeps_the_priors_width():
    start, points = shared.start_of(lh.load_dataset("digits"), 1), []
    for number in range(4):
        kernels = [m.copy() for m in start.means]
        kernels[1][0] += number  # one row moves by 0, 1, 2, 3
        points.append(lh.Posterior(kernels, start.stddevs, start.biases))
    found = posteriors.spread(start, points).final
    np.testing.assert_allclose(found.means[1][0], start.means[1][0] + 1.5, rtol=1e-5)
    np.testing.assert_allclose(found.stddevs[1][0], np.sqrt(1.25), rtol=1e-5)
    assert (found.stddevs[1][1:] == 1).all() and (found.stddevs[0] == 1).all()


def test_on_other_images_than_the_digits_trainings_are_as_stored(digits):
    asked, study = [], posteriors
    stand_in = types.SimpleNamespace(**{name: getattr(study, name) for name in ("LIVE", "STORED", "TABLES", "TRAININGS")},
                                     rows=lambda dataset, **sizes: asked.append(sizes) or [{"seed": 1}])  # fmt: skip
    for dataset in (digits, dataclasses.replace(digits, name="fashion_mnist")):
        shared.table_of(dataset, stand_in, "11_posteriors", range(2))
    for name in study.LIVE:
        on_digits, elsewhere = (sizes[name] for sizes in asked)
        assert on_digits == (range(2) if "seeds" in name else study.LIVE[name])
        assert elsewhere == (study.STORED[name] if name in study.TRAININGS else on_digits)
