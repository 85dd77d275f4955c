"""The lecture of README.md, "A lecture of 50 minutes", as one HTML file that needs no network.

python notebooks/slides.py [FILE]

A stop of the lecture names notebooks and, in quotes, headings of theirs. A slide is a heading with the first
figure or list that follows, as it is stored; the guess that the notebook asks for comes before. A stop's text
is the speaker's notes (press S). reveal.js comes with sphinx-revealjs.
"""

import html
import importlib.util
import itertools
import pathlib
import re
import sys

import latex2mathml.converter
import markdown_it
import nbformat
from mdit_py_plugins.dollarmath import dollarmath_plugin

HERE = pathlib.Path(__file__).resolve().parent
MARKDOWN = (
    markdown_it.MarkdownIt("commonmark", {"html": True})
    .enable("table")
    .use(
        dollarmath_plugin,
        renderer=lambda tex, how: latex2mathml.converter.convert(
            tex, "block" if how["display_mode"] else "inline"
        ),
    )
)
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Lottery tickets</title><style>{css}
.reveal {{ font-size: 25px }} .reveal h1 {{ font-size: 2em }} .reveal h2 {{ font-size: 1.5em }}
.reveal h1, .reveal h2 {{ text-transform: none }} .reveal section {{ text-align: left }}
.reveal section img {{ display: block; max-height: 440px; margin: 8px auto }}
.reveal table {{ font-size: 0.7em }} .reveal ol, .reveal ol + p {{ font-size: 0.8em }}
</style></head><body><div class="reveal"><div class="slides">
{slides}
</div></div><script>{reveal}</script><script>{notes}</script>
<script>
Reveal.initialize({{plugins: [RevealNotes], hash: true, width: 1200, height: 675, slideNumber: true}})
</script>
</body></html>
"""


def stops(text):
    """Of the lecture path in a README's text: (minutes, [(notebook's file, heading), ...], notes)."""
    lecture = text.split("## A lecture of 50 minutes")[1].split("\n## ")[0]
    for minutes, said in re.findall(r"^\| (\d+ to \d+) \| (.+) \|$", lecture, re.MULTILINE):
        _, *parts = re.split(r"\[Notebook \d+\]\((\w+\.ipynb)\)", said)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        shown = [(file, heading) for file, part in pairs for heading in re.findall(r'"([^"]+)"', part)]
        notes = re.sub(r'(, )?"[^"]+"|\[Notebook \d+\]\(\w+\.ipynb\):? ?', "", said)
        yield minutes, shown, notes.strip(" .;,:")


def section(notebook, heading):
    """The text behind a heading, and the cells from there to the next heading of a section."""
    pattern = re.compile(rf"^#+ {re.escape(heading)}$", re.MULTILINE)
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and pattern.search(cell.source):
            text, *others = re.split("^## ", pattern.split(cell.source)[1], flags=re.MULTILINE)
            rest = [] if others else notebook.cells[place + 1 :]
            return text, [*itertools.takewhile(lambda c: not re.search("^## ", c.source, re.M), rest)]
    raise ValueError(f"the lecture names the heading {heading!r}: the notebook has none of that name")


def shown_by(cells, heading):
    """The first figure or list as HTML, and the sentence that says what we see in it; "" if there is none."""
    for place, cell in enumerate(cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                words = html.escape(output.metadata.get("image/png", {}).get("alt", heading))
                picture = f'<img alt="{words}" src="data:image/png;base64,{data["image/png"].strip()}">'
            elif "text/markdown" in data:
                picture = MARKDOWN.render(data["text/markdown"])
            else:
                continue
            after = "\n".join(c.source for c in cells[place:] if c.cell_type == "markdown")
            seen = re.search(r"\*\*What we see[^*]*\*\*(?: on MNIST\.)? ?(.*?[.?!])(?= [A-Z*]|\n|$)", after)
            return picture, seen[1] if seen else ""
    return "", ""


def slides_of(folder):
    """Each slide's HTML, from the README and the notebooks in ``folder``."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    title, question = re.match(r"# (.+)\n\n(.+?\?)", text).groups()
    yield f"<h1>{title}</h1><p>{MARKDOWN.render(question)}</p>"
    for minutes, shown, notes in stops(text):
        for file, heading in shown:
            first, cells = section(nbformat.read(folder / file, as_version=4), heading)
            words = "\n".join([first, *(c.source for c in cells if c.cell_type == "markdown")])
            guess = re.search(r"\*\*Your guess.*", words)
            picture, seen = shown_by(cells, heading)
            aside = f'<aside class="notes">{minutes} minutes. {MARKDOWN.render(notes)}</aside>'
            head = f"<h2>{MARKDOWN.renderInline(heading)}</h2>"
            if guess:
                yield head + MARKDOWN.render(guess[0]) + aside
            body = picture + MARKDOWN.render(seen) if picture else MARKDOWN.render(first.strip())
            yield head + body + aside


def main(target="build/lecture.html"):
    """Write the lecture."""
    static = pathlib.Path(importlib.util.find_spec("sphinx_revealjs").origin).parent / "_static" / "revealjs"
    names = "dist/reset.css dist/reveal.css dist/theme/white.css dist/reveal.js plugin/notes/notes.js"
    *css, reveal, notes = ((static / name).read_text(encoding="utf-8") for name in names.split())
    css = re.sub(r"@import[^;]+;", "", "".join(css))  # fonts from the network; the system's do
    reveal, notes = (script.replace("</script", "<\\/script") for script in (reveal, notes))
    slides = [f"<section>{slide}</section>" for slide in slides_of(HERE)]
    target = pathlib.Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    page = PAGE.format(css=css, slides="\n".join(slides), reveal=reveal, notes=notes)
    target.write_text(page, encoding="utf-8")
    print(f"{target}: {len(slides)} slides, {target.stat().st_size / 1e6:.1f} MB; press S for the notes")


if __name__ == "__main__":
    main(*sys.argv[1:])
