"""The site (`make site`): the notebooks as they are stored, never executed, with navigation and search."""

import os
import pathlib
import re
import sys

import nbformat
from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from links import ROOT, address

REPOSITORY = address()

project = "Lottery tickets and Bayesian uncertainty"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_sitemap", "sphinxext.opengraph"]
include_patterns = ["index.md", "teaching.md", "glossary.md", "claims.md", "api.md", "[0-9]*.ipynb"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"  # outputs hold tables and $...$ too, which CommonMark has not
nb_render_image_options = {"alt": "figure", "scale": "100%"}  # with a scale Sphinx links it to its full size
nb_custom_formats = {".ipynb": ["conf.with_words", {}, False]}
nb_ipywidgets_js = {}  # no output depends on a widget
myst_enable_extensions = ["dollarmath"]
myst_dmath_double_inline = True  # $$...$$ within a paragraph is display mathematics, as in Jupyter
myst_heading_anchors = 3
# Version 4 breaks long formulas, which a phone's width needs; Sphinx 8 would take 3.
mathjax_path = "https://cdn.jsdelivr.net/npm/mathjax@4/tex-mml-chtml.js"
mathjax3_config = {"output": {"displayOverflow": "linebreak"}}

html_title = project
html_theme = "sphinx_book_theme"
html_static_path = ["site.css", "results/answer.png"]
html_baseurl = "https://{}.github.io/{}/".format(*REPOSITORY.split("/")[-2:])
sitemap_url_scheme = "{link}"
ogp_site_url = html_baseurl
ogp_image = html_baseurl + "_static/answer.png"
ogp_image_alt = "Accuracy of tickets minus the dense network's, against the weights kept"
html_css_files = ["site.css"]
html_copy_source = False  # the badges lead to the notebooks themselves: no second copy of 7 MB
html_show_sphinx = False
html_show_copyright = False
html_sidebars = {"**": ["icon-links", "search-button-field", "sbt-sidebar-nav"]}  # the logo is in no landmark
html_context = {"default_mode": "auto"}  # figures stay on white, in the dark too
html_theme_options = {
    "repository_url": REPOSITORY,
    "repository_branch": "main",
    "path_to_docs": "notebooks",
    "use_repository_button": True,
    "use_download_button": False,
    "home_page_in_toc": True,
    "navbar_persistent": [],  # one search field is enough
    "footer_content_items": ["extra-footer"],
    "extra_footer": f'Text and figures: <a href="{REPOSITORY}/blob/main/LICENSE-TEXT.md">CC BY 4.0</a>; '
    f'code: <a href="{REPOSITORY}/blob/main/LICENSE">MIT</a>. '
    f'<a href="{REPOSITORY}#how-to-cite">How to cite</a>.',
}


def with_words(text):
    """A notebook in which the words that stand for a figure are where MyST-NB looks for it, at its cell, and
    a table has no empty heads: over a column of notes, and pandas' own. A screen reader would say nothing."""
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "alt" in output.get("metadata", {}).get("image/png", {}):
                cell.metadata["mystnb"] = {"image": nb_render_image_options | output.metadata["image/png"]}
            data = output.get("data", {})
            if "text/html" in data:
                empty = r"<th([^>]*)>(?:\s|&nbsp;)*</th>"
                data["text/html"] = re.sub(empty, r"<td\1></td>", data["text/html"])
            if "text/markdown" in data:
                data["text/markdown"] = re.sub(r"\A(\|.*)\|  \|\n", r"\1| note |\n", data["text/markdown"])
    return notebook


class LinksToTheRepository(SphinxTransform):
    """Links to files that are not pages lead to the repository; one to README.md leads to its page here."""

    default_priority = 500  # at reading, before links are resolved and files to download are collected

    def apply(self, **kwargs):
        """Replace or redirect each; one to a file that does not exist is a warning."""
        for node in list(self.document.findall(addnodes.pending_xref)) + list(
            self.document.findall(addnodes.download_reference)
        ):
            if node.get("reftype") != "myst":
                continue
            if node.get("refdomain") == "doc":
                if node["reftarget"] == "README":
                    glossary = node.get("reftargetid") == "glossary"
                    node["reftarget"] = "glossary" if glossary else self.config.root_doc
                if node["reftarget"] in self.env.found_docs:
                    continue
                path = self.with_suffix(node["reftarget"])
                fragment = node.get("reftargetid")
            else:
                path, _, fragment = node["reftarget"].partition("#")
                if not path:
                    continue
            path = pathlib.Path(os.path.normpath(pathlib.Path(self.env.srcdir, path)))
            if not path.exists() or not path.is_relative_to(ROOT):
                logging.getLogger(__name__).warning("no such file to link to: %s", path, location=node)
                continue
            kind = "tree" if path.is_dir() else "blob"
            address = f"{REPOSITORY}/{kind}/main/{path.relative_to(ROOT).as_posix()}"
            address += f"#{fragment}" if fragment else ""
            node.replace_self(nodes.reference("", "", *node.children, refuri=address))

    def with_suffix(self, docname):
        """The file that MyST took for a page: it drops the suffix of everything that could be one."""
        candidates = [docname + suffix for suffix in self.config.source_suffix]
        return next((c for c in candidates if pathlib.Path(self.env.srcdir, c).exists()), docname)


def without_drawn_icons(app, error):
    """Empty the theme's script that draws each icon again, as SVG: 1.5 MB, and its fonts have them all."""
    if not error:
        pathlib.Path(app.outdir, "_static/scripts/fontawesome.js").write_text("")


def setup(app):
    """Add the links, and take the icons' script away."""
    app.add_transform(LinksToTheRepository)
    app.connect("build-finished", without_drawn_icons)
