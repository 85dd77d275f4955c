"""From rows to words: the six at their edges, Holm, look-ups that refuse, claims in both modes, figures."""

import itertools

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import seaborn as sns
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

import lotteryhelpers as lh
from lotteryhelpers import plots
from lotteryhelpers.evidence import (
    MARGIN,
    Comparison,
    Interval,
    MarkdownTable,
    Table,
    claims_table,
    draw_arms,
    draw_points,
    holm,
    legend_below,
    weights_axis,
)

WORDS = ("as good", "better", "worse", "ahead", "behind", "not decided")
MIRROR = {"better": "worse", "worse": "better", "ahead": "behind", "behind": "ahead"}

# --- six words -----------------------------------------------------------------------------------------------

EDGES = [  # low, high, the word at a margin of 0.5
    (-0.4, 0.4, "as good"), (0.0, 0.0, "as good"), (0.1, 0.4, "as good"), (-0.4, -0.1, "as good"), (0.0, 0.4, "as good"),
    (0.5, 0.5, "better"), (0.5, 0.9, "better"), (0.6, 2.0, "better"),
    (-0.5, -0.5, "worse"), (-0.9, -0.5, "worse"),
    (0.1, 0.5, "ahead"), (0.4, 0.9, "ahead"),
    (-0.5, -0.1, "behind"), (-0.9, -0.4, "behind"),
    (0.0, 0.5, "not decided"), (-0.5, 0.0, "not decided"), (-0.4, 0.5, "not decided"), (-0.5, 0.4, "not decided"),
    (-0.5, 0.5, "not decided"), (-9.0, 9.0, "not decided"),
]  # fmt: skip


@pytest.mark.parametrize("low, high, word", EDGES)
def test_each_word_at_its_edges(low, high, word):
    assert Interval((low + high) / 2, low, high).verdict(0.5) == word


def test_a_hairs_breadth_from_the_edges():
    above, below = np.nextafter(0.5, 1), np.nextafter(0.5, 0)
    assert Interval(0.6, below, 0.9).verdict(0.5) == "ahead" and Interval(0.6, 0.5, 0.9).verdict(0.5) == "better"
    assert Interval(0.3, 0.1, below).verdict(0.5) == "as good" and Interval(0.3, 0.1, above).verdict(0.5) == "ahead"
    tiny = np.nextafter(0, 1)
    assert Interval(0.3, tiny, 0.5).verdict(0.5) == "ahead" and Interval(0.3, -tiny, 0.5).verdict(0.5) == "not decided"


@pytest.mark.parametrize("margin", [0, -0.3, np.nan, np.inf])
def test_a_margin_is_above_zero(margin):
    with pytest.raises(ValueError, match="margin=.* must be a number above 0"):
        Interval(0.0, -1.0, 1.0).verdict(margin)


ends = st.one_of(st.floats(-2, 2), st.sampled_from([-0.5, -0.3, 0.0, 0.3, 0.5]))
margins = st.sampled_from([0.3, 0.5, 1.0])


def word_of(low, high, margin):
    return Interval(low, low, high).verdict(margin)


@given(ends, ends, margins)
def test_exactly_one_word_holds_and_the_mirror_has_its_mirror(a, b, m):
    low, high = sorted((a, b))
    holds = {
        "as good": -m < low and high < m,
        "better": low >= m,
        "worse": high <= -m,
        "ahead": 0 < low < m <= high,
        "behind": low <= -m < high < 0,
    }
    assert sum(holds.values()) <= 1
    expected = next((word for word, true in holds.items() if true), "not decided")
    assert word_of(low, high, m) == expected and expected in WORDS
    assert word_of(-high, -low, m) == MIRROR.get(expected, expected)


@given(ends, ends, ends, ends, margins)
def test_a_wider_interval_says_no_more(a, b, c, d, m):
    outer_low, low, high, outer_high = sorted((a, b, c, d))
    inner, outer = word_of(low, high, m), word_of(outer_low, outer_high, m)
    if inner == "not decided":
        assert outer == "not decided"
    allowed = {  # what more seeds can make of a word, the inner interval's from the outer one's
        "as good": {"as good"},
        "better": {"better"},
        "worse": {"worse"},
        "ahead": {"ahead", "better", "as good"},
        "behind": {"behind", "worse", "as good"},
        "not decided": set(WORDS),
    }
    assert inner in allowed[outer]


def test_an_interval_in_words():
    assert Interval(0.479, 0.412, 0.541).text() == "+0.48 points (+0.41 to +0.54)"
    assert Interval(-8580.0, -9000.2, -8000.0).text(" steps", 0) == "-8,580 steps (-9,000 to -8,000)"
    assert lh.Interval is Interval and lh.paired_interval is lh.evidence.paired_interval


# --- families ------------------------------------------------------------------------------------------------


def excludes_zero(interval):
    return not interval.low <= 0 <= interval.high


def family(seed):
    """A random family: comparisons of unlike sizes, some of nothing, with unlike numbers of seeds."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice([[0, 0, 0], [0, 1, 2], [2, 3, 9]][seed % 3], rng.integers(4, 12))
    pairs = [rng.normal(0, 1, (2, rng.integers(5, 11))) for _ in sizes]
    return [(a + size, b) for (a, b), size in zip(pairs, sizes, strict=True)]


def test_an_interval_excludes_zero_exactly_if_holm_rejects():
    rejected = set()
    for seed in range(15):  # a call of multipletests takes a quarter of a second
        pairs = family(seed)
        p = [scipy.stats.ttest_rel(a, b).pvalue for a, b in pairs]
        by_holm = multipletests(p, alpha=0.05, method="holm")[0]
        found = holm(pairs)
        assert [excludes_zero(interval) for interval in found] == by_holm.tolist()
        rejected.add((len(pairs), int(by_holm.sum())))
        for i, rank in enumerate(scipy.stats.rankdata(p, "ordinal")):  # and each has its level
            level = 0.05 / (len(p) - rank + 1) if by_holm[i] else 0.05 / len(p)
            expected = scipy.stats.ttest_rel(*pairs[i]).confidence_interval(1 - level)
            assert (found[i].low, found[i].high) == pytest.approx((expected.low, expected.high))
    assert any(0 < n < k for k, n in rejected) and any(n == k > 3 for k, n in rejected)  # all kinds were tried
    assert any(n == 0 < k for k, n in rejected)


def test_holm_stops_at_the_first_that_fails():
    """Three of about 0.03: alone each is below 0.05, the first step asks for 0.05 / 3."""
    pairs = [(np.array([1.0, 2, 3, 2.2, 1.9]) + shift - 0.97, np.zeros(5)) for shift in (0, 0.02, 0.04)]
    assert all(excludes_zero(lh.paired_interval(*pair)) for pair in pairs)
    assert not any(excludes_zero(interval) for interval in holm(pairs))
    sure = (np.array([5.0, 5.1, 4.9, 5.0, 5.05]), np.zeros(5))
    with_sure = holm([pairs[2], sure])
    assert all(map(excludes_zero, with_sure))  # the order given; the weaker at its step of 0.05
    assert with_sure[0] == lh.paired_interval(*pairs[2]) and with_sure[1].mean == pytest.approx(5.01)


def test_holm_of_one_of_none_and_of_no_spread():
    pair = ([1.0, 2.0, 4.0], [0.5, 1.0, 1.5])
    assert holm([pair]) == [lh.paired_interval(*pair)] and holm([]) == []
    none, same = ([1.0, 1.0], [1.0, 1.0]), ([1.5, 1.5], [1.0, 1.0])
    noisy = ([3.0, -2.0], [1.0, 1.0])
    assert holm([noisy, same, none])[1:] == [Interval(0.5, 0.5, 0.5), Interval(0.0, 0.0, 0.0)]
    with pytest.raises(ValueError, match="not finite"):
        holm([pair, ([np.nan, 1.0], [1.0, 2.0])])


# --- tables --------------------------------------------------------------------------------------------------

LEVEL = {"dense": 0.98, "snr": 0.9845, "variance": 0.974, "random": 0.973}


def rows_of(seeds=range(100, 105)):
    """Made rows: each kind at its level, with the seed's own luck and a little of the run's."""
    rng, rows = np.random.default_rng(0), []
    for kind, density in [("dense", 1.0), *itertools.product(("snr", "variance", "random"), (0.5, 0.1 + 0.2, 0.05))]:
        for seed in seeds:
            best = LEVEL[kind] + 0.001 * np.sin(seed) + rng.normal(0, 2e-4)
            rows.append({"seed": seed, "criterion": kind, "density": density, "scope": "layer", "steps": 4290,
                         "test_accuracy_at_best": best, "test_accuracy": best - (0.004 if kind == "snr" else 0),
                         "seconds": 2.0 + density, "error": ""})  # fmt: skip
    return pd.DataFrame(rows)


TABLE = Table(rows_of())
SNR, DENSE, CHANCE = {"criterion": "snr", "density": 0.3}, {"criterion": "dense"}, {"criterion": "random", "density": 0.3}
VARIANCE = {"criterion": "variance", "density": 0.3}


def test_values_by_seed_in_percent_and_other_columns_as_they_are():
    found = TABLE.values("test_accuracy", **SNR)  # a density of 0.1 + 0.2
    assert list(found.index) == [100, 101, 102, 103, 104] and 97 < found.min() < found.max() < 99
    assert TABLE.values("seconds", **SNR).tolist() == pytest.approx([2.3] * 5)


def test_order_index_and_dtypes_do_not_matter():
    shuffled = rows_of().sample(frac=1, random_state=1).set_index("error")
    shuffled["seed"] = shuffled["seed"].astype("int32")
    found = Table(shuffled.assign(more=1.0)).compare(SNR, DENSE)
    assert found.at_best == TABLE.compare(SNR, DENSE).at_best
    nullable = Table(rows_of().convert_dtypes())
    assert nullable.compare(SNR, DENSE).at_end == TABLE.compare(SNR, DENSE).at_end
    categories = Table(rows_of().astype({"criterion": "category", "test_accuracy": "object"}))
    assert categories.compare(SNR, DENSE).at_end == TABLE.compare(SNR, DENSE).at_end


def test_compare_pairs_by_seed_at_both_readings():
    found, frame = TABLE.compare(SNR, DENSE), rows_of()
    ours = frame[(frame.criterion == "snr") & np.isclose(frame.density, 0.3)]
    theirs = frame[frame.criterion == "dense"]
    for interval, column in ((found.at_best, "test_accuracy_at_best"), (found.at_end, "test_accuracy")):
        expected = lh.paired_interval(100 * ours[column].to_numpy(), 100 * theirs[column].to_numpy())
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
        assert TABLE.difference(column, SNR, DENSE) == interval
    assert found.lengths == ""
    assert found.at_best.mean > MARGIN > found.at_end.mean


@pytest.mark.parametrize("where, message", [
    ({"criterion": "snr", "density": 0.4}, r"no row where snr, 40%: of density there is 0.5, 0.30000000000000004, 0.05$"),
    ({"criterion": "sn"}, "no row where sn: of criterion there is dense, snr, variance, random"),
    ({"kind": "snr"}, "no column 'kind': there are seed, criterion, density"),
    ({"density": "0.3"}, "no row where 0.3: of density there is 1.0, 0.5"),
    ({"criterion": "snr"}, "seed 100 twice where snr, with other density, test_accuracy_at_best, test_accuracy, seconds$"),
])  # fmt: skip
def test_a_look_up_that_finds_no_row_or_two_is_refused(where, message):
    with pytest.raises(ValueError, match=message):
        TABLE.values("test_accuracy", **where)


def test_a_value_that_is_no_number_is_refused():
    frame = rows_of()
    frame.loc[frame.index[:2], "test_accuracy"] = np.nan
    with pytest.raises(ValueError, match="test_accuracy isn't a finite number for seeds 100, 101 where dense"):
        Table(frame).compare(SNR, DENSE)
    assert Table(frame).difference("test_accuracy_at_best", SNR, DENSE).mean > 0
    with pytest.raises(ValueError, match="error isn't a finite number for seeds 100, 101, 102, 103, 104 where dense"):
        TABLE.values("error", **DENSE)


def test_two_tables_joined_have_double_seeds():
    with pytest.raises(ValueError, match="seed 100 twice where dense, with other $"):
        Table(pd.concat([rows_of(), rows_of()])).values("test_accuracy", **DENSE)


def of_seeds(*seeds):
    return Table(TABLE.frame[TABLE.frame.seed.isin(seeds)])


def test_unequal_seeds_are_refused():
    frame = rows_of()
    lacking = Table(frame[(frame.criterion != "snr") | ~frame.seed.isin([101, 103])])
    for sides in ((SNR, DENSE), (DENSE, SNR)):
        with pytest.raises(ValueError, match="no seeds 101, 103 where snr, 30%: leave them out"):
            lacking.compare(*sides)
    found = of_seeds(104, 100, 102).compare(SNR, DENSE)
    assert [list(series.index) for series in found.pairs["at the end"]] == [[100, 102, 104]] * 2
    with pytest.raises(ValueError, match="2 pairs or more"):
        of_seeds(100).compare(SNR, DENSE).at_best  # noqa: B018


def test_two_seeds_are_enough_and_no_spread_is_an_interval():
    two = of_seeds(100, 101).compare(SNR, DENSE).at_best
    expected = scipy.stats.t.ppf(0.975, 1)  # 12.7: two seeds show little
    values = TABLE.values("test_accuracy_at_best", **SNR) - TABLE.values("test_accuracy_at_best", **DENSE)
    assert two.high - two.mean == pytest.approx(expected * values[:2].sem())
    none = TABLE.compare(SNR, SNR)
    assert none.at_best == Interval(0.0, 0.0, 0.0) and none.at_best.verdict(MARGIN) == "as good"


def test_unequal_lengths_are_refused_unless_they_are_named():
    frame = rows_of()
    frame.loc[frame.criterion == "snr", "steps"] = 1716
    unequal, words = Table(frame), "after 4 against 10 epochs"
    with pytest.raises(ValueError, match="snr, 30% had 1716 steps, dense 4290: name it, lengths='...'"):
        unequal.compare(SNR, DENSE)
    with pytest.raises(ValueError, match="had 1716 steps"):
        unequal.difference("test_accuracy", SNR, DENSE)
    with pytest.raises(ValueError, match="had 1716 steps"):
        unequal.compare(SNR, DENSE, lengths="")
    named = unequal.compare(SNR, DENSE, lengths=words)
    assert named.lengths == words
    assert unequal.difference("steps", SNR, DENSE) == Interval(-2574.0, -2574.0, -2574.0)
    equal = unequal.compare(VARIANCE, CHANCE, lengths=words)  # no difference, so nothing to say
    assert equal.lengths == ""
    one = frame.index[(frame.criterion == "dense") & (frame.seed == 102)]
    frame.loc[frame.criterion == "snr", "steps"] = 4290
    frame.loc[one, "steps"] = 4289
    with pytest.raises(ValueError, match="had 4290 steps, dense 4290, 4289: name it"):
        Table(frame).compare(SNR, DENSE)


def test_without_steps_the_lengths_must_be_named():
    bare = Table(rows_of().drop(columns="steps"))
    with pytest.raises(ValueError, match="no column 'steps'"):
        bare.compare(SNR, DENSE)
    assert bare.compare(SNR, DENSE, lengths="of unknown length").lengths == "of unknown length"
    assert bare.difference("seconds", SNR, DENSE).mean == pytest.approx(-0.7)


# --- claims --------------------------------------------------------------------------------------------------

CLAIMS = [
    ("snr at 30% and the dense network", SNR, DENSE, ("better", "as good")),
    ("the variance at 30% and chance", VARIANCE, CHANCE, "as good"),
    ("the variance at 30% and the dense network", VARIANCE, DENSE, "worse"),
]


def claims_of(table, claims=CLAIMS):
    return [table.claim(*claim) for claim in claims]


def test_claims_that_hold_are_a_table():
    table = claims_table(claims_of(TABLE), stored=True)
    assert isinstance(table, MarkdownTable) and len(table.rows) == 3
    best, end = TABLE.compare(SNR, DENSE).at_best, TABLE.compare(SNR, DENSE).at_end
    lines = table._repr_markdown_().splitlines()
    assert lines[0] == "| claim (points, margin 0.3) | at lowest loss | at the end |  |" and len(lines) == 5
    assert lines[2] == (
        f"| snr at 30% and the dense network | {best.text('')} **better** | {end.text('')} **as good** | the readings differ |"
    )
    assert lines[4].count("**worse**") == 2 and lines[4].endswith("|  |")


def test_a_word_that_is_not_so_is_an_error_that_names_all_of_them():
    wrong = [(*CLAIMS[0][:3], "better"), CLAIMS[1], (*CLAIMS[2][:3], ("as good", "behind"))]
    with pytest.raises(AssertionError) as caught:
        claims_table(claims_of(TABLE, wrong), stored=True)
    first, *named = str(caught.value).splitlines()
    assert first == "the table says otherwise:" and len(named) == 3
    assert named[0] == f"snr at 30% and the dense network, at the end: as good, not better: {TABLE.compare(SNR, DENSE).at_end.text()}"
    assert "dense network, at lowest loss: worse, not as good: -" in named[1] and "at the end: worse, not behind" in named[2]


def test_a_readers_own_settings_are_reported_and_nothing_stops():
    wrong = [(*CLAIMS[0][:3], "better"), *CLAIMS[1:], ("snr at 40% and dense", SNR | {"density": 0.4}, DENSE, "better")]
    rows = claims_table(claims_of(TABLE, wrong), stored=False).rows
    assert rows[0][3] == "at the end, here: as good; stored: better; the readings differ"
    assert [row[3] for row in rows[1:3]] == ["", ""]
    assert rows[3][:3] == ["snr at 40% and dense", "", ""]
    assert rows[3][3].startswith("can't be compared here: no row where snr, 40%: of density there is 0.5")
    with pytest.raises(ValueError, match="no row where snr, 40%"):  # under the stored settings it stops
        claims_table(claims_of(TABLE, wrong), stored=True)
    nothing = claims_table([TABLE.claim("none", {"criterion": "mine"}, DENSE, ("ahead", "behind"))], stored=False)
    assert nothing.head == ["claim (points, margin 0.3)", ""] and len(nothing.rows) == 1
    assert claims_table([], stored=True).rows == []


def test_a_mixed_up_table_is_refused():
    """Every pair of kinds with its rows swapped, of which none says what the claims say."""
    for one, other in itertools.combinations(("dense", "snr", "variance"), 2):
        frame = rows_of()
        frame["criterion"] = frame.criterion.replace({one: other, other: one})
        frame["density"] = np.where(frame.criterion == "dense", 1.0, np.where(frame.density == 1, 0.3, frame.density))
        frame = frame[~frame.duplicated(["seed", "criterion", "density"])]
        with pytest.raises(AssertionError, match="the table says otherwise"):
            claims_table(claims_of(Table(frame)), stored=True)
    swapped = rows_of().rename(columns={"test_accuracy": "test_accuracy_at_best", "test_accuracy_at_best": "test_accuracy"})
    with pytest.raises(AssertionError, match="at the end: better, not as good"):
        claims_table(claims_of(Table(swapped)), stored=True)


def test_claims_made_in_a_loop_keep_their_own_rows():
    claims = [TABLE.claim(f"{d:.0%}", SNR | {"density": d}, {"criterion": "random", "density": d}, "better") for d in (0.5, 0.05)]
    claims += [("by hand", Comparison({"at lowest loss": ([2.0, 2.1], [1.0, 1.0])}), "better")]
    table = claims_table(claims, stored=True)
    for (_, comparison, _), d in zip(claims, (0.5, 0.05), strict=False):
        assert comparison().at_end == TABLE.compare(SNR | {"density": d}, {"criterion": "random", "density": d}).at_end
    assert table.rows[2] == ["by hand", "+1.05 (+0.41 to +1.69) **better**", "", ""]


def test_two_words_are_for_two_readings():
    with pytest.raises(ValueError, match="of 'three': one, or one each for .'at lowest loss', 'at the end'"):
        claims_table([TABLE.claim("three", SNR, DENSE, ("better", "as good", "worse"))], stored=False)


def test_a_word_that_is_none_of_the_six_is_named():
    with pytest.raises(ValueError, match="of 'three': beter isn't one of .'as good', 'better'"):
        claims_table([TABLE.claim("three", SNR, DENSE, ("beter", "ahead"))], stored=False)


def test_lengths_that_differ_stand_in_the_sentence():
    frame = rows_of()
    frame.loc[frame.criterion == "snr", "steps"] = 1716
    claim = Table(frame).claim(*CLAIMS[0], lengths="after 4 against 10 epochs")
    assert claims_table([claim], stored=True).rows[0][0] == "snr at 30% and the dense network, after 4 against 10 epochs"
    assert claims_table([TABLE.claim(*CLAIMS[0], lengths="after 4 against 10 epochs")], stored=True).rows[0][0] == CLAIMS[0][0]


def test_a_family_has_wider_intervals_at_each_reading_and_says_so():
    alone, family = (claims_table(claims_of(TABLE), stored=True, family=how) for how in (False, True))
    assert family.head[0] == "claim (points, margin 0.3, a family of 3, Holm)"
    for reading, column in ((1, "at lowest loss"), (2, "at the end")):
        intervals = holm([TABLE.compare(a, b).pairs[column] for _, a, b, _ in CLAIMS])
        assert [row[reading].split(" **")[0] for row in family.rows] == [i.text("") for i in intervals]
        assert [row[reading] for row in family.rows] != [row[reading] for row in alone.rows]
    more = claims_table([*claims_of(TABLE), TABLE.claim("none", {"criterion": "mine"}, DENSE, "better")], stored=False, family=True)
    assert more.head == family.head and more.rows[:3] == family.rows  # what can't be compared is no part of it


def test_a_bar_in_a_cell_does_not_end_it():
    table = MarkdownTable(["a|b", "c"], [["x", 1]])
    assert table._repr_markdown_() == "| a\\|b | c |\n| --- | --- |\n| x | 1 |"


# --- figures -------------------------------------------------------------------------------------------------

ARMS = {name: {"criterion": name} for name in ("dense", "snr", "random")}


@pytest.fixture
def ax():
    with matplotlib.rc_context():
        lh.use_style()
        yield plt.subplots()[1]
        plt.close("all")


def bands(ax):
    return [c for c in ax.collections if isinstance(c, matplotlib.collections.PolyCollection)]


def dots(ax):
    return [tuple(line.get_ydata()) for line in ax.lines if line.get_marker() == "." and line.get_ls() == "None"]


def test_an_arm_is_the_means_and_the_intervals_as_a_band(ax):
    draw_arms(ax, TABLE, "test_accuracy", ARMS)
    lines = {line.get_label(): line for line in ax.lines}
    snr = lines[plots.LOOKS["snr"][0]]
    assert snr.get_xdata() == pytest.approx([0.05, 0.3, 0.5])
    means = [TABLE.values("test_accuracy", criterion="snr", density=d) for d in (0.05, 0.3, 0.5)]
    assert snr.get_ydata() == pytest.approx([series.mean() for series in means])
    band = bands(ax)[0].get_paths()[0].vertices
    expected = [lh.paired_interval(series, 0 * series) for series in means]
    assert {round(y, 9) for _, y in band} >= {round(end, 9) for i in expected for end in (i.low, i.high)}
    assert len(bands(ax)) == 2 and dots(ax) == []  # dense is a level
    level = TABLE.values("test_accuracy", **DENSE).mean()
    assert lines["dense"].get_ydata() == pytest.approx([level, level]) and lines["dense"].get_xdata() == [0, 1]
    low, high = ax.get_ylim()
    assert all(low < y < high for line in ax.lines for y in line.get_ydata())


def test_few_seeds_and_wide_intervals_are_dots(ax):
    few = Table(rows_of(range(100, 102)))
    draw_arms(ax, few, "test_accuracy", ARMS)
    assert len(dots(ax)) == 7 and all(len(seeds) == 2 for seeds in dots(ax))
    assert sorted(few.values("test_accuracy", **SNR)) in [sorted(seeds) for seeds in dots(ax)]
    ax.clear()
    frame = rows_of()
    at = (frame.criterion == "snr") & (frame.density == 0.05)
    frame.loc[at, "test_accuracy"] = [0.98, 0.5, 0.98, 0.98, 0.98]
    draw_arms(ax, Table(frame), "test_accuracy", ARMS, ylim=(97, 99))
    assert dots(ax) == [(98, 50, 98, 98, 98)] and ax.get_ylim() == (97, 99)
    ax.clear()
    draw_points(ax, {1: [97.0], 2: [96.0]}, "mine")
    assert dots(ax) == [(97,), (96,)]


def test_the_margin_is_grey_around_zero_in_differences(ax):
    draw_arms(ax, TABLE, "test_accuracy", {"snr": ARMS["snr"]}, minus=DENSE | {"density": 1.0})
    (margin,) = [patch for patch in ax.patches if patch.get_label() == "within 0.3 points"]
    heights = ax.transData.inverted().transform(margin.get_verts())[:, 1]  # a rectangle, in Matplotlib 3.8 a polygon
    assert (heights.min(), heights.max()) == pytest.approx((-MARGIN, MARGIN))
    (line,) = [line for line in ax.lines if line.get_label() == plots.LOOKS["snr"][0]]
    expected = [TABLE.difference("test_accuracy", SNR | {"density": d}, DENSE).mean for d in (0.05, 0.3, 0.5)]
    assert line.get_ydata() == pytest.approx(expected)
    assert ax.get_ylim()[0] < -MARGIN and ax.get_ylim()[1] > MARGIN
    ax.clear()
    draw_arms(ax, TABLE, "test_accuracy", {"snr": ARMS["snr"]}, minus={"criterion": "random"})  # of equal density
    (line,) = [line for line in ax.lines if line.get_label() == plots.LOOKS["snr"][0]]
    same = [TABLE.difference("test_accuracy", SNR | {"density": d}, CHANCE | {"density": d}).mean for d in (0.05, 0.3, 0.5)]
    assert line.get_ydata() == pytest.approx(same)


def test_lengths_that_differ_stand_in_a_figures_names(ax):
    frame = rows_of()
    draw_arms(ax, Table(frame), "test_accuracy", ARMS)
    assert not any("steps" in label for label in ax.get_legend_handles_labels()[1])
    ax.clear()
    frame.loc[frame.criterion == "snr", "steps"] = 1716
    draw_arms(ax, Table(frame), "test_accuracy", ARMS)
    labels = ax.get_legend_handles_labels()[1]
    assert {label.split(", ", 1)[1] for label in labels} == {"1,716 steps", "4,290 steps"}
    ax.clear()
    with pytest.raises(ValueError, match="had 1716 steps"):
        draw_arms(ax, Table(frame), "test_accuracy", {"snr": ARMS["snr"]}, minus=DENSE | {"density": 1.0})
    words = "after 4 against 10 epochs"
    draw_arms(ax, Table(frame), "test_accuracy", ARMS, minus=DENSE | {"density": 1.0}, lengths=words)
    named = [label for label in ax.get_legend_handles_labels()[1] if words in label]
    assert named == [f"{plots.LOOKS['snr'][0]}, {words}"]


def test_places_may_be_another_columns(ax):
    frame = rows_of().assign(weights_left=lambda f: f.density - 0.001)
    draw_arms(ax, Table(frame), "test_accuracy", {"snr": ARMS["snr"]}, at="weights_left")
    assert ax.lines[0].get_xdata() == pytest.approx([0.049, 0.299, 0.499])
    with pytest.raises(ValueError, match="no column 'round'"):
        draw_arms(ax, Table(frame), "test_accuracy", ARMS, along="round")


def test_the_axis_of_weights_runs_from_dense_to_sparse(ax):
    weights_axis(ax, [1, 0.513, 0.036])
    left, right = ax.get_xlim()
    assert left > 1 > 0.036 > right and ax.get_xscale() == "log" and ax.get_xlabel() == "weights kept (%)"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["100", "51.3", "3.6"] and len(ax.get_xticks(minor=True)) == 0


def test_a_legend_below_has_each_name_once_and_covers_no_axes():
    with matplotlib.rc_context():
        lh.use_style()
        fig, axes = plt.subplots(1, 2, figsize=(12, 4))
        for ax in axes:
            draw_arms(ax, TABLE, "test_accuracy", ARMS)
        legend_below(fig)
        fig.canvas.draw()
        (legend,) = fig.legends
        names = [text.get_text() for text in legend.get_texts()]
        assert names == [plots.LOOKS[name][0] for name in ARMS]
        box = legend.get_window_extent()
        assert box.y1 <= min(ax.get_tightbbox().y0 for ax in axes) and box.x0 >= 0 and box.x1 <= fig.bbox.x1
        plt.close(fig)


# --- one look for one thing ----------------------------------------------------------------------------------

PAGES = {  # what a page shows, by the words that it draws with
    "01": ["nll", "kl", "accuracy"],
    "03": ["variance", "snr", "magnitude", "chance", "inverted"],
    "04": ["dense", "variance", "random", "inverted", "snr", "magnitude"],
    "05": ["dense", "variance", "snr", "magnitude", "kl", "movement", "dense_magnitude", "snip", "random",
           "random_live", "untrained", "inverted", "map"],
    "06": ["dense", "iterative", "one-shot", "reinitialised", "random mask", "snr", "variance", "magnitude", "map"],
    "07": ["dense", "dense_magnitude", "magnitude", "snr", "variance", "random", "movement", "reinitialised", "inverted"],
    "08": ["dense", "snr", "magnitude", "variance", "dense_magnitude", "map", "random"],
    "09": ["dense", "snr", "dense_magnitude", "random"],
    "a reader's": ["dense", "variance", "snr", "magnitude", "random", "mine"],
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_no_two_things_of_a_page_share_colour_and_dashes(page):
    looks = [(lh.line_of(word)["color"], lh.line_of(word)["ls"]) for word in PAGES[page]]
    assert len(set(looks)) == len(looks)


def test_the_rivals_have_colours_of_their_own():
    six = ["iterative", "dense_magnitude", "magnitude", "snr", "variance", "random"]
    assert len({lh.COLORS[word] for word in six}) == 6
    for word in ("iterative", "dense_magnitude", "magnitude"):  # which pages had swapped: nobody else has them
        assert [w for w, color in lh.COLORS.items() if color == lh.COLORS[word]] == [
            w for w in lh.COLORS if plots.LOOKS[w] == plots.LOOKS[word]
        ]


def test_all_colours_are_safe_for_colour_blind_readers():
    safe = {color.lower() for color in sns.color_palette("colorblind").as_hex()} | {"#000000", "#949494", "#5f5f5f"}
    assert {color.lower() for color in [*lh.COLORS.values(), plots.OWN[0]]} <= safe


def test_a_thing_has_one_name_under_all_its_words():
    assert lh.line_of("one-shot") == lh.line_of("dense_magnitude") and lh.line_of("chance") == lh.line_of("random")
    assert lh.line_of("snr")["label"] == r"snr $|\mu|/\sigma$" and "marker" not in lh.line_of("snr")
    assert lh.line_of("snr uniform") == lh.line_of("snr") | {"label": "snr uniform"}
    assert lh.line_of("one-shot, 15 epochs") == lh.line_of("one-shot") | {"label": "one-shot, 15 epochs"}
    assert lh.line_of("random mask") == lh.line_of("random") | {"label": "random mask"}
    assert lh.line_of("mine")["label"] == "mine" and lh.line_of("mine", marker=True)["marker"] == plots.OWN[2]
    names = {plots.LOOKS[word] for word in lh.COLORS}
    assert len({name for name, *_ in names}) == len(names)
