"""How Sphinx is set up for the book."""

from pathlib import Path
from typing import Any

from lossbook import __version__

SETTINGS: dict[str, Any] = {
    "project": "lossbook",
    "version": __version__,
    "release": __version__,
    "language": "en",
    "copyright": "",
    "html_show_copyright": False,
    "html_show_sphinx": False,
    "html_title": "lossbook",
    "extensions": [
        "myst_nb",
        "sphinx.ext.autodoc",
        "sphinx.ext.viewcode",
        "lossbook.book.docstrings",
    ],
    "exclude_patterns": ["_static"],
    # Chapters come executed.
    "nb_execution_mode": "off",
    "nb_ipywidgets_js": {},
    "nb_merge_streams": True,
    "nb_code_prompt_show": "Show the code",
    "nb_code_prompt_hide": "Hide the code",
    "myst_enable_extensions": ["dollarmath", "amsmath", "colon_fence", "deflist"],
    "myst_heading_anchors": 4,
    "myst_heading_slug_func": "lossbook.book.chapters.slug",
    "myst_dmath_double_inline": True,
    "suppress_warnings": ["myst.header"],  # a chapter's exercises are headings two levels below their section
    # MathJax from the site itself.
    "mathjax_path": "mathjax/tex-chtml.js",
    "mathjax3_config": {"options": {"enableMenu": False}},
    # The look.
    "html_theme": "pydata_sphinx_theme",
    "html_static_path": ["_static"],
    "html_css_files": ["book.css", "equations.css"],
    "html_js_files": ["equations.js", "search.js"],
    "html_favicon": "_static/favicon.svg",  # without one each browser asks for one that is not there
    "html_copy_source": False,
    "html_show_sourcelink": False,
    "html_last_updated_fmt": None,
    "html_context": {"default_mode": "auto"},
    "templates_path": [str(Path(__file__).parent / "templates")],
    "html_sidebars": {"**": ["book_nav"]},
    "html_theme_options": {
        "logo": {"text": "lossbook"},
        "navbar_align": "left",
        "navbar_center": [],
        "navbar_persistent": ["search-button-field"],
        "navbar_end": ["theme-switcher"],
        "navigation_depth": 2,
        "show_nav_level": 2,
        "show_toc_level": 1,
        "secondary_sidebar_items": ["page-toc"],
        "footer_start": [],
        "footer_end": [],
        "footer_center": [],
        "back_to_top_button": False,
    },
}
