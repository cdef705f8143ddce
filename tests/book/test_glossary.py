"""The glossary: sorted, said in a few sentences, each entry with a way to the place that treats it."""

import re
from pathlib import Path

from book_pages import ROOT, committed

from lossbook.book.chapters import slug
from lossbook.book.equations import prose
from lossbook.catalog.papers import NOTEBOOKS, papers

TEXT = (ROOT / "notebooks" / "pages" / "glossary.md").read_text(encoding="utf-8")
BODY = TEXT.partition(":::{glossary}\n")[2].removesuffix(":::\n")
ENTRIES = dict(entry.split("\n", 1) for entry in BODY.strip().split("\n\n"))
LINK = re.compile(r"\]\((?P<page>[^)#\s]+)#(?P<place>[^)\s]+)\)")


def places(chapter):
    """Where a link into a chapter may lead."""
    text = "\n\n".join(prose(chapter))
    headings = {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)}
    return headings | set(re.findall(r'<a id="([\w-]+)"></a>', text))


def test_there_are_a_hundred_terms_or_more_in_the_order_of_the_alphabet():
    names = [re.sub(r"[^a-z0-9]+", " ", term.lower()) for term in ENTRIES]
    assert 100 <= len(names) <= 200
    assert names == sorted(names)
    assert BODY.count("\n\n") == len(ENTRIES) - 1  # no term twice


def test_every_entry_leads_to_a_chapter_and_every_link_leads_somewhere():
    known = {NOTEBOOKS[chapter.number]: places(chapter) for chapter in committed()}
    for term, text in ENTRIES.items():
        links = [(link["page"], link["place"]) for link in LINK.finditer(text)]
        assert links, term
        assert [(page, place) for page, place in links if place not in known[page]] == [], term
        assert text.count("](") == len(links), term


def test_an_entry_is_one_to_three_sentences_and_says_what_the_term_is():
    for term, text in ENTRIES.items():
        plain = re.sub(r"\$[^$]*\$|\]\([^)]*\)", "", " ".join(text.split()))
        assert 1 <= len(re.findall(r"[.](?= [A-Z$\[]|$)", plain)) <= 3, term
        assert 25 <= len(plain) <= 420, term
        assert all(line.startswith("  ") for line in text.split("\n")), term


def test_every_chapter_and_every_implemented_system_is_reached():
    links = {(Path(link["page"]).stem[:2], link["place"]) for link in LINK.finditer(TEXT)}
    assert {chapter for chapter, _ in links} == set(NOTEBOOKS)
    section = {chapter.number: "\n\n".join(prose(chapter)) for chapter in committed()}
    for paper in papers().values():
        if paper.implemented:
            part = section[paper.chapter].partition(f'<a id="{paper.key}"></a>')[2].split("\n## ", 2)
            inside = {paper.key, *re.findall(r'<a id="([\w-]+)"></a>', part[1])}
            assert any((paper.chapter, place) in links for place in inside), paper.key
