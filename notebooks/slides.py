"""The lecture of README.md, "A lecture of 50 minutes", as one HTML file that needs no network.

python notebooks/slides.py [FILE]

A stop of the lecture names notebooks and, in quotes, headings of theirs. A slide is a heading with a figure,
or with the tables, that stand before its first "What we see", as they are stored; the guess that the notebook
asks for comes before. A stop's text is the speaker's notes (press S). reveal.js comes with sphinx-revealjs.
"""

import html
import importlib.util
import pathlib
import re
import sys

import latex2mathml.converter
import markdown_it
import nbformat
from links import address
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
SEEN = re.compile(r"\*\*What we see[^*]*\*\*(?: on MNIST\.)? ?((?:.*?[.?!](?= [A-Z*]|\n|$)){1,2})")
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Lottery tickets</title><style>{css}
.reveal {{ font-size: 25px }} .reveal h1 {{ font-size: 2em }} .reveal h2 {{ font-size: 1.5em }}
.reveal h1, .reveal h2 {{ text-transform: none }} .reveal section {{ text-align: left }}
.reveal section img {{ display: block; max-height: 440px; margin: 8px auto }}
.reveal table {{ font-size: 0.65em; margin-bottom: 1em }}
.reveal .text {{ font-size: 0.85em }}
.licence {{ position: fixed; left: 1em; bottom: 0.5em; font: 12px sans-serif }}
</style></head><body><div class="reveal"><div class="slides">
{slides}
</div></div><div class="licence">Text and figures: {source}, CC BY 4.0</div>
<script>{reveal}</script><script>{notes}</script>
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
        notes = re.sub(r'(, )?"[^"]+"[.;]?|\[Notebook \d+\]\(\w+\.ipynb\):? ?', "", said)
        yield minutes, shown, " ".join(notes.split())


def section(notebook, heading):
    """The text behind a heading, and the cells from there to the next heading of a section."""
    pattern = re.compile(rf"^#+ {re.escape(heading)}$", re.MULTILINE)
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and pattern.search(cell.source):
            text, *others = re.split("^## ", pattern.split(cell.source)[1], flags=re.MULTILINE)
            own = []
            while not others and place + 1 + len(own) < len(notebook.cells):
                later = notebook.cells[place + 1 + len(own)]
                later.source, *others = re.split("^## ", later.source, flags=re.MULTILINE)
                own.append(later)
            return text, own
    raise ValueError(f"the lecture names the heading {heading!r}: the notebook has none of that name")


def shown_by(cells, heading):
    """What stands before the first "What we see": HTML of each figure, and of all tables together; what cells
    printed; the first two sentences of what we see; the text before the first figure."""
    figures, tables, printed, words, seen = [], "", "", [], None
    for cell in cells:
        words.append(cell.source if cell.cell_type == "markdown" else "")
        if seen := SEEN.search(words[-1]):
            break
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                alt = html.escape(output.metadata.get("image/png", {}).get("alt", heading))
                figures.append(f'<img alt="{alt}" src="data:image/png;base64,{data["image/png"].strip()}">')
                words.append("**shown**")
            elif "text/markdown" in data:
                # of sentences full of numbers
                bold = re.findall(r"^\d\. \*\*.+?\*\*", data["text/markdown"], re.M)
                tables += MARKDOWN.render("\n".join(bold) or data["text/markdown"])
            else:
                printed += output.get("text", "")
    pictures = [*figures, tables] if tables else figures
    said = re.sub(r" \([^()]* below\)", "", seen[1]) if seen else ""
    before = "\n".join(words).split("**shown**")[0]
    return pictures, html.escape(printed), MARKDOWN.render(said[:1].upper() + said[1:]), before


def slides_of(folder):
    """Each slide's HTML, from the README and the notebooks in ``folder``."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    title, question = re.match(r"# (.+)\n\n(.+?\?)", text).groups()
    yield f"<h1>{title}</h1><p>{MARKDOWN.render(question)}</p>"
    experiment = nbformat.read(folder / "04_dense_versus_masked.ipynb", as_version=4).cells[0].source
    hypothesis = re.search(r"^The \*\*lottery ticket hypothesis\*\*.*$", experiment, re.M)[0]
    yield f"<h2>The lottery ticket hypothesis</h2>{MARKDOWN.render(hypothesis)}"
    for minutes, shown, notes in stops(text):
        aside = f'<aside class="notes">{minutes} minutes. {MARKDOWN.render(notes)}</aside>'
        for file, heading in shown:
            first, cells = section(nbformat.read(folder / file, as_version=4), heading)
            pictures, printed, seen, before = shown_by(cells, heading)
            head = f"<h2>{MARKDOWN.renderInline(heading)}</h2>"
            if not pictures:  # the guess is in the text
                said = f'<div class="text">{MARKDOWN.render(first.strip())}</div>'
                pictures, seen = [said], f"<pre>{printed}</pre>" if printed else ""
            elif guess := re.search(r"\*\*Your guess.*", f"{first}\n{before}"):
                yield head + MARKDOWN.render(guess[0]) + aside
            yield from (head + picture + aside for picture in pictures[:-1])
            yield head + pictures[-1] + seen + aside


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
    page = PAGE.format(css=css, slides="\n".join(slides), reveal=reveal, notes=notes, source=address())
    target.write_text(page, encoding="utf-8")
    print(f"{target}: {len(slides)} slides, {target.stat().st_size / 1e6:.1f} MB; press S for the notes")


if __name__ == "__main__":
    main(*sys.argv[1:])
