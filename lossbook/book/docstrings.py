"""The Sphinx extension of the API pages: autodoc with the docstrings of the house, their names linked.

Napoleon would read `p_y |x| *batch` as markup, and the first words of a sentence with a colon as a type; so docstrings
are turned by `restructured` before anything else sees them. jaxtyping's annotations stand in signatures as written.
"""

import inspect
import re
from collections.abc import Collection
from functools import cache
from itertools import takewhile
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.inspect import signature as signature_of
from sphinx.util.inspect import stringify_signature

from lossbook.book.declared import constant, fields, home
from lossbook.book.restructured import Link, code_block, rest
from lossbook.book.rooms import canonical, module_names, public

SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)
PLAIN_WORD = re.compile("[a-z]+")
LONGEST_CODE = 30  # lines; more would bury the page


@cache
def _simple_names() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in public():
        found.setdefault(name.rpartition(".")[2], []).append(name)
    return found


def link_from(module: str, but: Collection[str] = ()) -> Link:
    """Where the names in backticks in a module's docstrings lead: into its room, or to the one public object so called.

    Args:
        module: where the docstring stands.
        but: names that mean something else there, such as those of arguments.

    Example:
        >>> link = link_from("lossbook.metrics.cost", but=("cost",))
        >>> link("LinearLogits"), link("linear_cost"), link("cost")
        ('lossbook.logits.LinearLogits', 'lossbook.metrics.linear_cost', None)
        >>> link("features") is None            # a plain word, and the function of that name is in another room
        True
    """

    def link(name: str) -> str | None:
        if name.startswith("lossbook."):
            return name if name in module_names() else canonical(name)
        head, _, member = name.partition(".")
        if head in but:
            return None
        found = _simple_names().get(head, [])
        nearest = max((_shared(full, module) for full in found), default=0)
        near = [full for full in found if _shared(full, module) == nearest]
        if len(near) != 1 or (nearest < 2 and PLAIN_WORD.fullmatch(name)):
            return None
        return f"{near[0]}.{member}" if member else near[0]

    return link


def _shared(name: str, module: str) -> int:
    """How many leading parts two dotted names share."""
    pairs = zip(name.split("."), module.split("."), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx: autodoc with the docstrings of the house, sources linked."""
    for extension in ("sphinx.ext.autodoc", "sphinx.ext.viewcode"):
        app.setup_extension(extension)
    app.connect("config-inited", _settings)
    app.connect("autodoc-process-docstring", _process, priority=100)  # before any other
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-skip-member", _skip)
    app.connect("doctree-read", _without_tex)
    app.connect("missing-reference", _resolve)
    app.connect("html-page-context", _well_formed)
    app.add_css_file("reference.css")
    app.add_js_file("reference.js", loading_method="defer")
    app.set_html_assets_policy("always")  # Sphinx does not see formulas in raw HTML, and would leave out MathJax
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _settings(app: Sphinx, config: Any) -> None:
    config.autodoc_preserve_defaults = True
    config.autodoc_typehints_format = "short"
    config.autodoc_member_order = "bysource"
    config.python_maximum_signature_line_length = 100
    config.smartquotes = False  # prose and code show the quotes that were written


def _process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Replace a docstring by what it says in reStructuredText, and add what only the source says."""
    text, module = inspect.cleandoc("\n".join(lines)), getattr(obj, "__module__", None) or name
    code: list[str] = []
    if what == "data":
        where, last = home(name)
        module, (text, code) = where.__name__, constant(where, last)
    elif what == "class":
        code = _fields(obj)
    written = rest(text, link_from(module, _arguments(obj)))
    if 0 < len(code) <= LONGEST_CODE:
        written += f"\n\n{code_block('python', code)}"
    lines[:] = [*written.splitlines(), ""]


def _arguments(obj: Any) -> Collection[str]:
    try:
        return inspect.signature(obj).parameters
    except (TypeError, ValueError):  # a property, a constant
        return ()


def _fields(cls: type) -> list[str]:
    """The declarations that stand for the signature of a class of plain fields; none where its docstring has them."""
    plain = hasattr(cls, "__dataclass_fields__") or hasattr(cls, "_fields")
    found = fields(cls) if plain and "\nArgs:" not in inspect.cleandoc(cls.__doc__ or "") else []
    return found if len(found) <= LONGEST_CODE else []


def _signature(app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returns: str) -> Any:
    """None for a class of plain fields, for these are shown; __init__'s where a __new__ takes anything."""
    if what != "class":
        return None
    if _fields(obj):
        return "", None
    if signature and signature.startswith("(*args"):
        own = signature_of(obj.__init__, bound_method=True)
        return stringify_signature(own, show_return_annotation=False, unqualified_typehints=True), None
    return None


def _skip(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    return (
        True if type(obj).__name__ == "_tuplegetter" else None
    )  # a NamedTuple's fields are shown as the source has them


def _without_tex(app: Sphinx, doctree: nodes.document) -> None:
    r"""Keep MathJax to formulas: a docstring that speaks of \( and \) means these very characters."""
    if app.env.docname.startswith("api/"):
        for section in doctree.findall(nodes.section):
            section["classes"] += ["tex2jax_ignore", "mathjax_ignore"]


def _well_formed(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Mend what Sphinx writes.

    A long signature is a list of definitions without terms; the listings of sources have lists inside of lists, and
    ways back to places that are not there.
    """
    if "body" in context:
        context["body"] = SIGNATURE.sub(_as_blocks, context["body"])
        if page.startswith("_modules/"):
            context["body"] = re.sub(r'<a class="viewcode-back".*?</a>|<li>[^\n]*builtins.html.*', "", context["body"])
        if page == "_modules/index":
            flat = re.sub("</?ul>", "", context["body"])
            context["body"] = re.sub("<li>.*</li>", r"<ul>\g<0></ul>", flat, flags=re.DOTALL)


def _as_blocks(signature: re.Match[str]) -> str:
    inner = signature[0].replace("<dl>", "<div>").replace("</dl>", "</div>")
    return inner.replace("<dd>", '<div class="sig-argument">').replace("</dd>", "</div>")


def _resolve(app: Sphinx, env: Any, node: pending_xref, contents: Any) -> Any:
    """A reference by another name than the page's, such as that of the module in which a function is written."""
    if node.get("refdomain") != "py" or not str(node.get("reftarget")).startswith("lossbook."):
        return None
    target = canonical(node["reftarget"])
    if target is None or target == node["reftarget"]:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contents)
