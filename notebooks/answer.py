"""Put the answer that notebook 00 holds into README.md, between two marks, its figure into results/, and its
tables of claims into claims.md, a page of the site.

python notebooks/answer.py

Run it after notebook 00 was executed; a second run changes nothing.
"""

import base64
import pathlib
import re

import nbformat

ROOT = pathlib.Path(__file__).resolve().parents[1]
BETWEEN = re.compile(r"(?<=<!-- the answer, by notebooks/answer.py -->\n).*?(?=<!-- to here -->)", re.DOTALL)


def output_of(notebook, tag, kind):
    """What the cell with this tag shows in this form, and the form's metadata."""
    (cell,) = [c for c in notebook.cells if tag in c.metadata.get("tags", [])]
    (output,) = [o for o in cell.outputs if kind in o.get("data", {})]
    return output.data[kind], output.metadata.get(kind, {})


CLAIMS = """\
# The claims

Every claim of [the answer](00_in_five_minutes.ipynb), with the measured difference in points of test
accuracy, its 95% interval, and its word by the margin of 0.3 points: *as good*, *better*, *worse*,
*ahead*, *behind*, *not decided* (the [glossary](README.md#glossary) has the rule). Each is asserted by a
cell of notebook 0, from the tables in `results/`. Where the same holds with other data or another network
stands in [notebook 12](12_elsewhere.ipynb).

## Named before their runs

{}

## Found on the way

Corrected, together, for having been looked for (Holm).

{}
"""


def main(root=ROOT):
    """Write both files of the checkout at ``root``."""
    notebook = nbformat.read(root / "notebooks" / "00_in_five_minutes.ipynb", as_version=4)
    sentences, _ = output_of(notebook, "answer", "text/markdown")
    picture, words = output_of(notebook, "figure", "image/png")
    (root / "notebooks" / "results" / "answer.png").write_bytes(base64.b64decode(picture))
    tables = [o.data["text/markdown"] for c in notebook.cells if "claim" in c.metadata.get("tags", [])
              for o in c.outputs if "text/markdown" in o.get("data", {})]  # fmt: skip
    claims = CLAIMS.format(*(table.strip() for table in tables))
    (root / "notebooks" / "claims.md").write_text(claims, encoding="utf-8")
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    made = f"{sentences.strip()}\n\n![{words['alt']}](notebooks/results/answer.png)\n"
    readme.write_text(BETWEEN.sub(lambda _: made, text, count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
