"""Tidy tables, asked by name, and claims about them; what can't be compared is refused unless it is named."""

import contextlib
import dataclasses
import traceback

import numpy as np
import pandas as pd

from lotteryhelpers.evidence.intervals import MARGIN, WORDS, holm, paired_interval

READINGS = {"at lowest loss": "test_accuracy_at_best", "at the end": "test_accuracy"}


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Two Series by seed, in percent, for each reading; and how lengths of training differ, if they do."""

    pairs: dict
    lengths: str = ""
    at_best = property(lambda self: paired_interval(*self.pairs["at lowest loss"]), doc="At lowest loss.")
    at_end = property(lambda self: paired_interval(*self.pairs["at the end"]), doc="At the end of training.")


@dataclasses.dataclass(frozen=True)
class MarkdownTable:
    """A list of texts and a list of such lists, shown as a table by notebooks; in formulas | is \\lvert."""

    head: list
    rows: list

    def _repr_markdown_(self):
        lines = self.head, ["---"] * len(self.head), *self.rows
        return "\n".join("| " + " | ".join(str(c).replace("|", "\\|") for c in line) + " |" for line in lines)


@contextlib.contextmanager
def asserted(stored):
    """Assertions in a ``with`` are raised where ``stored``; under a reader's own settings they are said."""
    try:
        yield
    except AssertionError as error:
        if stored:
            raise
        print("With these settings this doesn't hold:", traceback.extract_tb(error.__traceback__)[-1].line)


def claims_table(claims, *, stored, margin=MARGIN, family=False):
    """Claims as a ``MarkdownTable``: sentence, difference in points and its word, at every reading.

    Args:
        claims: a list of (sentence, comparison, words): one word for all readings, or one for each. A
            comparison may be a function that makes it, asked late (see ``Table.claim``).
        stored: True under the stored settings: AssertionError names all words that are others. False under a
            reader's own: the table says what holds here, or why it can't be compared, and goes on.
        family: True for claims found on the way, not named before: Holm's intervals, at each reading."""
    made, intervals = [], {}
    for _, comparison, _ in claims:
        try:
            made.append((comparison() if callable(comparison) else comparison, ""))
        except ValueError as error:
            if stored:
                raise
            made.append((Comparison({}), f"can't be compared here: {error}"))
    for reading in dict.fromkeys(reading for comparison, _ in made for reading in comparison.pairs):
        pairs = [comparison.pairs[reading] for comparison, _ in made if reading in comparison.pairs]
        intervals[reading] = iter(holm(pairs) if family else [paired_interval(*pair) for pair in pairs])
    rows, wrong = [], []
    for (sentence, _, claimed), (comparison, trouble) in zip(claims, made, strict=True):
        cells, words, notes = dict.fromkeys(intervals, ""), [], [trouble] if trouble else []
        claimed = [claimed] * len(comparison.pairs) if isinstance(claimed, str) else claimed
        if unknown := {*claimed} - {*WORDS}:
            raise ValueError(f"words={claimed} of {sentence!r}: {min(unknown)} isn't one of {WORDS}")
        if not trouble and len(claimed) != len(comparison.pairs):
            raise ValueError(f"words={claimed} of {sentence!r}: one, or one each for {[*comparison.pairs]}")
        for reading, expected in zip(comparison.pairs, claimed):  # noqa: B905 - none where there is trouble
            interval = next(intervals[reading])
            words.append(interval.verdict(margin))
            cells[reading] = f"{interval.text('')} **{words[-1]}**"
            if words[-1] != expected:
                notes.append(f"{reading}, here: {words[-1]}; stored: {expected}")
                wrong.append(f"{sentence}, {reading}: {words[-1]}, not {expected}: {interval.text()}")
        notes += ["the readings differ"] if len({*words}) > 1 else []
        sentence += f", {comparison.lengths}" if comparison.lengths else ""
        rows.append([sentence, *cells.values(), "; ".join(notes)])
    if stored and wrong:
        raise AssertionError("the table says otherwise:\n" + "\n".join(wrong))
    corrected = f", a family of {sum(not trouble for _, trouble in made)}, Holm" if family else ""
    return MarkdownTable([f"claim (points, margin {margin:g}{corrected})", *intervals, ""], rows)


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A DataFrame with a row a run: its ``seed``, columns that name it, ``steps`` of training, results."""

    frame: pd.DataFrame

    def where(self, /, **where):
        """The rows that have these values, as a Table; ValueError if none has."""
        chosen = np.ones(len(self.frame), bool)
        for column, value in where.items():
            there = self.column(column)[chosen]
            if pd.api.types.is_float_dtype(there) and not isinstance(value, str):  # 0.1 + 0.2 is 0.3
                chosen[chosen] = np.isclose(there.to_numpy(float, na_value=np.nan), value)
            else:
                chosen[chosen] = (there == value).to_numpy(bool, na_value=False)
            if not chosen.any():
                raise ValueError(f"no row where {_text(where)}: of {column} there is {_some(there.unique())}")
        return Table(self.frame[chosen])

    def values(self, column, /, **where):
        """A column as a Series by seed, sorted, of the one row that each seed has; accuracies in percent."""
        rows = self.where(**where)
        numbers = pd.to_numeric(rows.column(column), errors="coerce").to_numpy(float, na_value=np.nan)
        found = pd.Series(numbers, pd.Index(rows.column("seed")), name=column)
        for seed in found.index[found.index.duplicated()]:
            n = rows.where(seed=seed).frame.nunique(dropna=False)
            raise ValueError(f"seed {seed} twice where {_text(where)}, with other {_some(n.index[n > 1])}")
        if bad := list(found.index[~np.isfinite(numbers)]):
            raise ValueError(f"{column} isn't a finite number for seeds {_some(bad)} where {_text(where)}")
        return found.sort_index() * (100 if "accuracy" in column else 1)

    def pair(self, column, a, b, *, lengths=None):
        """Two Series of a column, of the rows that the dicts ``a`` and ``b`` name; both must have the same
        seeds. ``lengths``, such as "after 22 against 55 epochs", names a difference in ``steps``; without it
        they must be equal ("steps" and "seconds" are lengths themselves)."""
        if column not in ("steps", "seconds"):
            self.lengths_of(a, b, lengths)
        ours, theirs = self.values(column, **a), self.values(column, **b)
        for side, lacking in ((a, {*theirs.index} - {*ours.index}), (b, {*ours.index} - {*theirs.index})):
            if lacking:
                raise ValueError(f"no seeds {_some(sorted(lacking))} where {_text(side)}: leave them out")
        return ours, theirs

    def lengths_of(self, a, b, lengths=None):
        """``lengths`` where those of a and b differ, or no ``steps`` tell; "" where they are equal."""
        if not lengths or "steps" in self.frame:
            ours, theirs = self.pair("steps", a, b)
            if (ours == theirs).all():
                return ""
            if not lengths:
                ours, theirs = (_some(steps.astype(int).unique()) for steps in (ours, theirs))
                raise ValueError(f"{_text(a)} had {ours} steps, {_text(b)} {theirs}: name it, lengths='...'")
        return lengths

    def difference(self, column, a, b, **how):
        """The Interval of a minus b in one column; ``how`` is ``pair``'s."""
        return paired_interval(*self.pair(column, a, b, **how))

    def compare(self, a, b, **how):
        """A ``Comparison`` of two tickets at both readings, in points; ``how`` is ``pair``'s."""
        pairs = {when: self.pair(column, a, b, **how) for when, column in READINGS.items()}
        return Comparison(pairs, self.lengths_of(a, b, **how))

    def claim(self, sentence, a, b, words, **how):
        """A claim for ``claims_table`` that calls ``compare(a, b, **how)`` only there."""
        return sentence, lambda: self.compare(a, b, **how), words

    def column(self, column, /):
        """A column as it is; ValueError, with the columns there are, if it isn't one."""
        if column not in self.frame:
            raise ValueError(f"no column {column!r}: there are {', '.join(map(str, self.frame))}")
        return self.frame[column]


def _text(where):
    return ", ".join(v if isinstance(v, str) else f"{100 * v:g}%" if k == "density" else f"{k} {v}"
                     for k, v in where.items()) or "all rows"  # fmt: skip


def _some(values, most=12):
    return ", ".join(map(str, values[:most])) + (", ..." if len(values) > most else "")
