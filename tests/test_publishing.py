"""What strangers need: the licence, how to cite, how to contribute, the workflow."""

import ast
import os
import re
import shutil
import subprocess
import sys
import types

import nbclient
import nbformat
import pytest
import yaml
from common import ROOT
from pages import NOTEBOOKS

import lotteryhelpers as lh
from lotteryhelpers.evidence import MarkdownTable

WORKFLOW = ROOT / ".github/workflows/tests.yml"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = {title: re.findall(r"^```python\n(.*?)^```", part, re.M | re.S)
            for title, part in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", CONTRIBUTING, re.M | re.S)}  # fmt: skip


def example(title):
    """The one block of Python of a section, which is short."""
    (source,) = EXAMPLES[title]
    assert len([line for line in source.splitlines() if line]) <= 10, title
    return source


def run_here(source, **names):
    space = {"__name__": "example"} | names
    exec(compile(source, "CONTRIBUTING.md", "exec"), space)
    return space


@pytest.mark.parametrize(("schema", "path"), [
    ("vendor.citation-file-format", ROOT / "CITATION.cff"),
    ("vendor.github-workflows", WORKFLOW),
    ("custom.github-workflows-require-timeout", WORKFLOW)])  # fmt: skip
def test_files_that_other_programs_read_are_as_these_want_them(schema, path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_version_and_one_address_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    changes, readme = ((ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "README.md"))
    (newest, date), *_ = re.findall(r"^## ([\d.]+) \((.*)\)$", changes, re.M)
    bibtex = re.search(r"```bibtex\n(.*?)```", readme, re.S).group(1)
    assert cited["version"] == newest == lh.__version__ and str(cited["date-released"]) == date
    assert f"version = {{{newest}}}" in bibtex and f"year = {{{date[:4]}}}" in bibtex
    assert f"url = {{{cited['url']}}}" in bibtex and cited["repository-code"] == cited["url"]
    assert f"git clone {cited['url']}\n" in readme and f"git clone {cited['url']}\n" in CONTRIBUTING
    assert cited["title"] in bibtex and cited["authors"][0]["name"] in bibtex
    assert "**Sentences.**" in changes.split("\n## ")[1], "the newest entry says which sentences have changed"


def test_the_licences_are_said_wherever_somebody_may_begin():
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n\nCopyright (c) 2026 lotteryhelpers maintainers\n")
    assert "CC-BY-4.0" in (ROOT / "LICENSE-TEXT.md").read_text()
    pages = [nbformat.read(path, as_version=4).cells[-1].source for path in NOTEBOOKS]
    for text in ((ROOT / "README.md").read_text(encoding="utf-8"), CONTRIBUTING, *pages):
        assert "MIT" in text and "CC BY 4.0" in text, text[-200:]


def test_the_workflow_may_little_and_takes_nothing_that_can_move():
    workflow, text = yaml.safe_load(WORKFLOW.read_text()), WORKFLOW.read_text()
    assert workflow["permissions"] == {"contents": "read"}
    allowed = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert allowed == {"publish": {"pages": "write", "id-token": "write"}}
    used = re.findall(r"uses: (.*)", text)
    assert used and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", u) for u in used)
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    assert "pull_request_target" not in text and "secrets." not in text
    pythons = workflow["jobs"]["whole"]["strategy"]["matrix"]["python"]
    low, high = re.search(r'">=(3\.\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text()).groups()
    assert pythons == [low, f"3.{int(high) - 1}"]
    made = re.sub(r"PYTHON=python(\$\{\{.*?\}\})? ", "", text)
    targets = set(re.findall(r"(?:run: |^ +)make ([.\w/]+)", made, re.M))
    makefile = (ROOT / "Makefile").read_text()
    assert targets == {"test", "check", "site", ".venv/installed"} and all(f"\n{t}:" in makefile for t in targets)


def test_a_criterion_as_contributors_are_told():
    try:
        made = run_here(example("A criterion"))
        masks, run = made["masks"], made["run"]
        assert lh.density(masks).layers == pytest.approx(lh.density(lh.masks_for(run, "snr", 0.2)).layers)
        assert lh.jaccard(masks, lh.masks_for(run, "variance", 0.2)) < 0.99
    finally:
        lh.CRITERIA.pop("sure_sign", None)


def test_a_study_and_a_claim_as_contributors_are_told(digits, monkeypatch):
    from lotteryhelpers import studies

    batches = types.ModuleType("lotteryhelpers.studies.batches")
    source = example("A study")
    monkeypatch.setattr("inspect.getsource", lambda module: source)  # what keeps rows reads a module's text
    batches.__dict__.update(run_here(source, **{"__name__": batches.__name__}))
    monkeypatch.setitem(sys.modules, batches.__name__, batches)
    monkeypatch.setattr(studies, "batches", batches, raising=False)
    assert ast.get_docstring(ast.parse(source)).count("Expected") == 1
    *lines, last = ast.parse(example("A claim")).body
    space = run_here(ast.unparse(ast.Module(lines, [])), dataset=digits)
    shown = eval(ast.unparse(last), space)
    assert isinstance(shown, MarkdownTable) and len(space["table"].frame) == 6
    assert "two epochs each" in shown.rows[0][0]


def test_a_notebook_as_contributors_are_told(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns("results", "*.png"))
    for name in ("pyproject.toml", "README.md", "CITATION.cff", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    run_here(example("A notebook"))
    links = subprocess.run([sys.executable, "notebooks/links.py"], capture_output=True, text=True, check=True)
    assert links.stdout.rstrip().endswith(": 13_mine.ipynb")
    page = nbformat.read("notebooks/13_mine.ipynb", as_version=4)
    assert "badge" in page.cells[0].source and "CC BY 4.0" in page.cells[-1].source
    nbclient.NotebookClient(page).execute(env=os.environ | {"DATASET": "digits", "PYTHONPATH": str(ROOT)})
    assert "digits" in str([cell.get("outputs") for cell in page.cells])


def test_an_exercise_as_contributors_are_told(capsys):
    check = run_here(example("An exercise"))["check_sparsity"]
    assert check(lambda m: 1 - m.mean()) and not check(lambda m: m.mean())
    assert "this is the density" in capsys.readouterr().out


HEAD = "You will do", "You will learn", "You need", "Minutes"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_each_page_begins_with_the_same_four_lines(path):
    lines = nbformat.read(path, as_version=4).cells[0].source.splitlines()[-4:]
    found = [re.fullmatch(r"- \*\*(.*?):\*\* (.{5,230}\.)", line) for line in lines]
    assert all(found) and tuple(line[1] for line in found) == HEAD


def test_a_teacher_finds_the_same_for_each_page_and_the_mistakes_are_those_that_the_checks_know():
    teach = (ROOT / "notebooks/README.md").read_text(encoding="utf-8").split("## To teach each notebook\n")[1].split("\n## ")[0]
    sections = re.split(r"\n### ", teach)[1:]
    titles = [nbformat.read(path, as_version=4).cells[0].source.splitlines()[0] for path in NOTEBOOKS]
    assert [re.match(r"\d+", section)[0] for section in sections] == [re.search(r"\d+", title)[0] for title in titles]
    checks = (ROOT / "lotteryhelpers/teaching/exercises.py").read_text().lower()
    for section in sections:
        parts = re.findall(r"^- \*\*(Afterwards|Mistakes|For the exam|Skip)\b", section, re.M)
        assert parts == ["Afterwards", "Mistakes", "For the exam", "Skip"], section
        assert section.count("<details><summary>Answer</summary>") == section.count("</details>") == 1
        mistakes = re.findall(r'"(.*?)"', section.split("**Mistakes.**")[1].split("\n")[0])
        assert len(mistakes) >= 3
        if not section.startswith("0"):  # it has no exercises
            assert all(mistake.lower() in checks for mistake in mistakes), mistakes


@pytest.mark.slow
def test_the_day_before_a_class_a_lecturer_hears_what_is_ready_and_what_is_not(tmp_path):
    from common import required

    required(shutil.which("chromium") or shutil.which("google-chrome"), "no chromium on PATH")
    told = os.environ | {"DATASET": "digits", "LOTTERYHELPERS_CACHE_DIR": str(tmp_path / "cache")}

    def ready(**environment):
        command = [sys.executable, ROOT / "notebooks/ready.py"]
        return subprocess.run(command, env=told | environment, capture_output=True, text=True)

    done = ready()
    lines = [line for line in done.stdout.splitlines() if "ready" in line]  # between them the notebooks' own
    assert done.returncode == 0 and lines[-1] == "all is ready", done.stdout + done.stderr
    assert [re.match(r"ready +(\w+): .", line)[1] for line in lines[:-1]] == ["environment", "data", "posteriors", "ticket", "slider"]
    kept = sorted((tmp_path / "cache").glob("bayesian-digits-*.npz"))
    assert f"{len(kept)} kept" in lines[2] and len(kept) >= 4 and "04 in " in lines[2]
    tools = tmp_path / "empty"  # no browser, and a data set that isn't there
    tools.mkdir()
    without = ready(PATH=str(tools), DATASET="mnist", LOTTERYHELPERS_DATA_DIR=str(tmp_path / "nowhere"))
    assert without.returncode == 1 and "\nnot all is ready: mend" in without.stdout
    assert "NOT READY  data: ValueError: LOTTERYHELPERS_DATA_DIR=" in without.stdout
    assert "NOT READY  slider: FileNotFoundError: no chromium" in without.stdout
