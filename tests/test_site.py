"""The site: built without a warning, no link or picture dead, equations and solutions in place, fit for a phone."""

import importlib.util
import re
import subprocess
import sys
import urllib.parse

import nbformat
import pytest
from common import ROOT, required
from test_project import PYPROJECT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
REPOSITORY = PYPROJECT["project"]["urls"]["Repository"] + "/"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the site, built with warnings as errors; Sphinx' exit code and its messages."""
    missing = [m for m in ("sphinx", "myst_nb", "sphinx_book_theme") if importlib.util.find_spec(m) is None]
    required(not missing, f'not installed: {missing}; pip install -e ".[site]"')
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", folder / "doctrees"]
    done = subprocess.run([*command, ROOT / "notebooks", folder / "html"], capture_output=True, text=True)
    return folder / "html", done


@pytest.fixture(scope="session")
def pages(site):
    """Each page's file with its parsed HTML."""
    from bs4 import BeautifulSoup

    return {p: BeautifulSoup(p.read_text(encoding="utf-8"), "html.parser") for p in site[0].glob("*.html")}


def test_the_site_builds_without_warnings_and_has_every_notebook(site):
    folder, done = site
    assert done.returncode == 0 and "WARNING" not in done.stderr and "ERROR" not in done.stderr, done.stderr
    expected = {"index", *(path.stem for path in NOTEBOOKS)}
    assert expected <= {page.stem for page in folder.glob("*.html")}
    assert not [f for name in ("_sources", "_downloads") for f in (folder / name).rglob("*.*")]
    assert sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) < 25e6


def dead_links(page, soup, pages):
    """Each href and src of a page that leads nowhere, with the reason."""
    for tag in soup.select("[href], img[src], script[src]"):
        link = tag.get("href") or tag.get("src")
        parts = urllib.parse.urlsplit(link)
        if parts.scheme in ("http", "https", "data") or link == "#":
            continue
        path = page if not parts.path else (page.parent / urllib.parse.unquote(parts.path)).resolve()
        if not path.is_file():
            yield link, "no such file"
        elif parts.fragment and tag.name == "a" and path in pages:
            if not pages[path].find(id=urllib.parse.unquote(parts.fragment)):
                yield link, "no such id"


def test_no_link_and_no_picture_is_dead(pages):
    dead = [(page.name, *d) for page, soup in pages.items() for d in dead_links(page, soup, pages)]
    assert dead == []
    links = [a["href"] for soup in pages.values() for a in soup.select("article a[href]")]
    assert len(links) > 100  # the test above had something to test
    pictures = [image for soup in pages.values() for image in soup.select("article .cell_output img")]
    assert len(pictures) > 30
    assert all(len(picture.get("alt", "")) > 25 for picture in pictures)  # for those who can't see them


def test_links_to_files_that_are_no_pages_lead_to_the_repository(pages):
    for soup in pages.values():
        for link in (a["href"] for a in soup.select("article a[href]")):
            assert not link.endswith((".ipynb", ".py", ".csv", ".md")) or link.startswith("https://"), link
            if link.startswith((REPOSITORY + "blob/main/", REPOSITORY + "tree/main/")):
                path = urllib.parse.urlsplit(link).path.split("/main/", 1)[1]
                assert (ROOT / path).exists(), link


def test_equations_are_left_to_mathjax_and_solutions_are_folded(pages):
    by_name = {page.stem: soup for page, soup in pages.items()}
    for path in NOTEBOOKS:
        soup = by_name[path.stem]
        cells = nbformat.read(path, as_version=4).cells
        source = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        assert soup.select_one("script[src*=mathjax]")
        article = soup.select_one("article")
        assert "$$" not in source or article.select("div.math"), path
        assert len(article.select("details:not(.hide)")) == source.count("<details"), path
        folded, *others = article.select("details.hide")
        assert "@title Set-up" in folded.text and (not others or path.name.startswith("00")), path
        fenced = re.findall(r"<details(?:(?!</details>).)*?```python", source, re.S)
        assert len(article.select("details .highlight-python")) == len(fenced) >= (0 if path.name.startswith("00") else 1), path
        for code in article.select("pre, code, script, style, .math"):
            code.decompose()
        text = article.get_text()
        assert not re.findall(r".{20}(?:\$\$|\\mathcal|\\sigma|\\mu\b).{20}", text), path
    assert len(by_name[NOTEBOOKS[0].stem].select("nav.bd-links a[href$='.html']")) >= len(NOTEBOOKS)


def test_what_a_phone_must_load_is_small_and_the_glossary_is_a_page(site, pages):
    folder, by_name = site[0], {page.stem: soup for page, soup in pages.items()}
    own = [tag.get("src") or tag.get("href") for tag in by_name["04_dense_versus_masked"].select("script[src], link[rel=stylesheet], article img")]
    files = {folder / urllib.parse.urlsplit(link).path for link in own if not link.startswith("http")}
    assert len(files) > 8 and sum(file.stat().st_size for file in files) < 1e6
    links = [a["href"] for a in by_name["00_in_five_minutes"].select("article a") if "glossary" in a.text]
    assert links == ["glossary.html"] or links == ["glossary.html#glossary"], links
    assert by_name["glossary"].select("table") and not by_name["index"].find(id="glossary")


def test_the_search_index_knows_flipout(site):
    index = (site[0] / "searchindex.js").read_text(encoding="utf-8")
    assert '"flipout"' in index and "10_why_flipout" in index


@pytest.fixture
def phone(chromium, site):
    """A page 390 px wide that reaches nothing but the site's files."""
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    context.route(re.compile("^https?://"), lambda route: route.abort())
    yield context.new_page()
    context.close()


def test_on_a_phone_no_page_scrolls_sideways(phone, site):
    for page in [site[0] / f"{name}.html" for name in ("index", "claims", "glossary", "teaching", "api", *(path.stem for path in NOTEBOOKS))]:
        phone.goto(page.as_uri(), wait_until="domcontentloaded")
        wide, window = phone.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert window == 390 and wide <= window, page.name
        cut = phone.evaluate("""[...document.querySelectorAll("article img, article table")].filter(element =>
            element.getBoundingClientRect().right > innerWidth + 1 && !(function scrolls(box) {
                return box && (getComputedStyle(box).overflowX == "auto" || scrolls(box.parentElement))
            })(element.parentElement)).length""")
        assert cut == 0, page.name


def test_on_a_phone_the_search_finds_flipout(phone, site):
    phone.goto((site[0] / "index.html").as_uri(), wait_until="domcontentloaded")
    phone.locator("button.search-button__button:visible").first.click()
    phone.locator("[class*=search] input[type=search]:visible").first.fill("Flipout")  # in a dialog or not, by the theme's age
    phone.keyboard.press("Enter")
    phone.locator("#search-results li a", has_text="Why Flipout").first.click()
    phone.wait_for_load_state("domcontentloaded")
    assert "10_why_flipout.html" in phone.url
    assert "Flipout" in phone.locator("article h1").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_keeps_a_reader_out(scheme, chromium, site):
    """Contrast, landmarks, heads of tables, names of buttons and more, on all kinds of pages."""
    from axe_playwright_python.sync_playwright import Axe

    context = chromium.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    context.route(re.compile("^https?://"), lambda route: route.abort())
    for name in ("index", "claims", "api", "04_dense_versus_masked", "12_elsewhere"):
        page = context.new_page()
        page.goto((site[0] / f"{name}.html").as_uri(), wait_until="load")
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        # buttons fade from light to dark: colours on the way are nobody's to read
        page.evaluate("Promise.all(document.getAnimations().map(animation => animation.finished)).then(() => 0)")
        found = Axe().run(page).response
        assert len(found["passes"]) > 20
        assert not found["violations"], [(v["id"], v["help"], v["nodes"][0]["html"][:200]) for v in found["violations"]]
    context.close()


def test_by_the_keyboard_a_reader_reaches_the_text_the_search_and_the_next_page(chromium, site):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.route(re.compile("^https?://"), lambda route: route.abort())
    page, reached = context.new_page(), []
    page.goto((site[0] / "03_build_masks.html").as_uri(), wait_until="load")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main-content"  # past the navigation
    for _ in range(200):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.className + ' ' + document.activeElement.getAttribute('href')"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle != 'none' || document.activeElement == document.body "
                             "|| getComputedStyle(document.activeElement).boxShadow != 'none'"), reached[-1]  # fmt: skip
    assert any("search" in one for one in reached) and any("04_dense_versus_masked.html" in one for one in reached)
    context.close()


def test_programs_find_every_page_and_a_card_for_it(site, pages):
    listed = (site[0] / "sitemap.xml").read_text()
    owner, name = REPOSITORY.rstrip("/").split("/")[-2:]
    for path in NOTEBOOKS:
        assert f"<loc>https://{owner}.github.io/{name}/{path.stem}.html</loc>" in listed
    for page, soup in pages.items():
        if page.stem in ("index", "claims", "glossary", "teaching", "api", *(path.stem for path in NOTEBOOKS)):
            card = {tag["property"]: tag["content"] for tag in soup.select("meta[property^='og:']")}
            assert card["og:title"] and len(card["og:description"]) > 40, page.name
            picture = card["og:image"].removeprefix(f"https://{owner}.github.io/{name}/")
            assert (site[0] / picture).is_file() and len(card["og:image:alt"]) > 25


def test_the_page_of_claims_is_notebook_0s_and_the_page_of_the_module_has_every_public_name(pages):
    import lotteryhelpers as lh

    by_name = {page.stem: soup for page, soup in pages.items()}
    zero = nbformat.read(NOTEBOOKS[0], as_version=4)
    tables = [o.data["text/markdown"] for c in zero.cells for o in c.get("outputs", []) if "claim (points" in str(o.get("data"))]
    text = (ROOT / "notebooks/claims.md").read_text(encoding="utf-8")
    assert len(tables) == 2 and all(table.strip() in text for table in tables)
    assert len(by_name["claims"].select("article tbody tr")) == sum(len(t.strip().splitlines()) - 2 for t in tables)
    said = {tag["id"].rsplit(".")[-1] for tag in by_name["api"].select("article dt[id]")}
    plain = ("COLORS", "LAYER_COLORS", "import_tensorflow")
    public = {n for n, v in vars(lh).items() if n[0] != "_" and n not in plain and type(v).__name__ != "module"}
    assert public <= said, public - said
    assert "masks: Sequence[ndarray]" in by_name["api"].select_one("article").get_text().replace("\n", "")


@pytest.fixture(scope="session")
def lecture(tmp_path_factory):
    """The lecture's file, as `make slides` writes it."""
    target = tmp_path_factory.mktemp("slides") / "lecture.html"
    done = subprocess.run([sys.executable, ROOT / "notebooks/slides.py", target], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def test_the_lecture_has_every_stop_of_the_path_with_its_figure_and_notes(lecture):
    path = (ROOT / "notebooks/README.md").read_text().split("## A lecture of 50 minutes")[1].split("\n## ")[0]
    headings = [h for line in path.splitlines() if line.startswith("| ") for h in re.findall(r'"([^"]+)"', line)]
    text = lecture.read_text(encoding="utf-8")
    slides = [part.split("</section>")[0] for part in text.split("<section>")[1:]]
    assert len(headings) > 12 and 12 < len(slides) < 40
    for heading in headings:
        own = [slide for slide in slides if f"<h2>{heading.split('$')[0]}" in slide]
        assert own and all('<aside class="notes">' in slide for slide in own), heading
        assert heading == "The rule, before any run" or any("<img" in s or "<table" in s or "<ol" in s or "<p" in s for s in own)
    assert "evidence lower bound" in text and "lottery ticket hypothesis" in slides[1]
    assert ["<table" in slide for slide in slides if "The second takes back" in slide] == [True]
    assert all(re.search(r"[.;:] [;.]", notes) is None for notes in re.findall(r'(?s)<aside class="notes">(.*?)</aside>', text))
    pictures = [slide for slide in slides if "<img " in slide]
    assert len(pictures) >= 10 and all('src="data:image/png;base64,' in slide for slide in pictures)


def test_the_lecture_fits_a_projector_and_asks_the_network_for_nothing(lecture, chromium):
    context, asked = chromium.new_context(viewport={"width": 1280, "height": 720}), []
    context.route(re.compile("^(?!file:)"), lambda route: (asked.append(route.request.url), route.abort()))
    page = context.new_page()
    page.goto(lecture.as_uri(), wait_until="load")
    page.evaluate("Reveal.configure({transition: 'none'})")
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate(f"Reveal.slide({number})")
        over = page.evaluate("""[...document.querySelectorAll("section.present *")].filter(e => e.offsetParent
            && (e.getBoundingClientRect().bottom > innerHeight + 1 || e.getBoundingClientRect().right > innerWidth + 1)
            ).map(e => e.textContent.slice(0, 60))""")
        assert not over, (number, over)
    assert not [url for url in asked if not url.startswith(("data:", "blob:"))]
    context.close()
