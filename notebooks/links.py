"""Write the repository's address, kept in pyproject.toml, and the set-up cell to wherever they stand.

python notebooks/links.py

Run it after a change of ``[project.urls] Repository`` there, or of ``SET_UP`` here. It writes the badges
under the notebooks' titles, their set-up cells, the licence at their ends, and the links in README.md,
CONTRIBUTING.md and CITATION.cff; outputs stay as they are, and a second run changes nothing.
"""

import pathlib
import re

import nbformat

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]

#: On Colab it clones, whole or not at all, then installs; the pins keep pip from changing what Colab ships.
SET_UP = '''\
# @title Set-up: run this first; nothing to change here
import importlib.util, os, pathlib, subprocess, sys
REPO_URL = os.environ.get("LOTTERYHELPERS_REPO_URL", "THE_ADDRESS")
ON_COLAB = """test -d "$0" || (rm -rf "$0.new" && git clone -q --depth=1 "$1" "$0.new" && mv "$0.new" "$0")
"$2" -m pip list --format=freeze > "$0.pins"
"$2" -m pip install -c "$0.pins" -e "$0" > "$0.log" 2>&1 || (cat "$0.log"; false)"""
spec, home = importlib.util.find_spec("lotteryhelpers"), pathlib.Path("lotteryhelpers_checkout").resolve()
above = [p for p in home.parents if (p / "lotteryhelpers" / "__init__.py").is_file()]
if spec is None or spec.origin is None:  # not installed
    if not above and importlib.util.find_spec("google") and importlib.util.find_spec("google.colab"):
        subprocess.run(["bash", "-ec", ON_COLAB, str(home), REPO_URL, sys.executable], check=True)
        above = [home]  # beside what Colab ships: of that nothing changes its version, or pip refuses
    if not above:
        raise ModuleNotFoundError(f"lotteryhelpers is missing: git clone {REPO_URL}, open the notebook there")
    sys.path.insert(0, str(above[0])); importlib.invalidate_caches()
try:
    import lotteryhelpers as lh
except ModuleNotFoundError as error:
    fix = f'{sys.executable} -m pip install -e "{(above or ["CHECKOUT"])[0]}[notebooks]"'
    raise ModuleNotFoundError(f"{error}; in a terminal: {fix}", name=error.name) from error'''

#: Shows its title only: in Colab, in JupyterLab, on the site.
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["hide-input"]}

BADGES = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{repo}/blob/main/notebooks/{name}) "
    "[![Launch on Binder](https://mybinder.org/badge_logo.svg)]"
    "(https://mybinder.org/v2/gh/{repo}/main?labpath=notebooks/{name})"
)

LICENCE = (
    "*Text and figures: [CC BY 4.0](https://github.com/{repo}/blob/main/LICENSE-TEXT.md); code: "
    "[MIT](https://github.com/{repo}/blob/main/LICENSE). "
    "[How to cite](https://github.com/{repo}#how-to-cite), "
    "[how to correct](https://github.com/{repo}/blob/main/CONTRIBUTING.md).*"
)


def address(root=ROOT):
    """Return ``[project.urls] Repository``; ValueError unless it is a repository on GitHub, as links need."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    url = project["urls"]["Repository"]
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+(?<!\.git)", url):
        raise ValueError(f'Repository in pyproject.toml must be "https://github.com/OWNER/NAME", not {url!r}')
    return url


def set_up_cell(url):
    """Return the source of every notebook's first code cell."""
    return SET_UP.replace("THE_ADDRESS", url)


def with_badges(title_cell, repo, name):
    """Return the first cell's text with the line of badges under its title, put in or written anew."""
    title, blank, first, *rest = title_cell.split("\n")
    kept = rest if first.startswith("[![Open in Colab]") else ["", first, *rest]
    return "\n".join([title, blank, BADGES.format(repo=repo, name=name), *kept])


def with_licence(cells, repo):
    """Put the licence at the end of the last cell, or write it anew; a page that ends with code gets one."""
    if cells[-1].cell_type != "markdown":
        cells.append(nbformat.v4.new_markdown_cell())
    kept = re.sub(r"(^|\n\n)\*Text and figures: \[CC BY 4\.0\].*\*$", "", cells[-1].source)
    cells[-1].source = "\n\n".join(filter(None, [kept, LICENCE.format(repo=repo)]))


def with_links(text, repo):
    """Return a text with the links to Colab, Binder, the clone and what is cited leading to ``repo``."""
    text = re.sub(r"(colab\.research\.google\.com/github/)[\w.-]+/[\w.-]+", rf"\g<1>{repo}", text)
    text = re.sub(r"(mybinder\.org/v2/gh/)[\w.-]+/[\w.-]+", rf"\g<1>{repo}", text)
    named = r"((?:git clone |url = \{|url: \"|repository-code: \")https://github\.com/)[\w.-]+/[\w.-]+"
    return re.sub(named, rf"\g<1>{repo}", text)


def main(root=ROOT):
    """Write the address of ``root``'s pyproject.toml into its notebooks and README.md; say what changed."""
    url = address(root)
    repo = url.removeprefix("https://github.com/")
    changed = []
    for path in sorted((root / "notebooks").glob("[0-9]*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        before = nbformat.writes(notebook)
        first = notebook.cells[0]
        first.source = with_badges(first.source, repo, path.name)
        with_licence(notebook.cells, repo)
        set_up = next(cell for cell in notebook.cells if cell.cell_type == "code")
        set_up.source, set_up.metadata = set_up_cell(url), nbformat.from_dict(FOLDED)
        if nbformat.writes(notebook) != before:
            nbformat.write(notebook, path)
            changed.append(path.name)
    for path in (root / name for name in ("README.md", "CONTRIBUTING.md", "CITATION.cff")):
        text = path.read_text(encoding="utf-8")
        if with_links(text, repo) != text:
            path.write_text(with_links(text, repo), encoding="utf-8")
            changed.append(path.name)
    print(f"{url}: {', '.join(changed) or 'nothing to change'}")


if __name__ == "__main__":
    main()
