"""Claims: sentences, the comparisons that they rest on, and the words that were found."""

import contextlib
import dataclasses
import traceback

from lotteryhelpers.evidence.intervals import MARGIN, WORDS, holm, paired_interval


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
        family: True for claims found on the way, not named before the run: Holm's intervals, at each reading.
    """
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
