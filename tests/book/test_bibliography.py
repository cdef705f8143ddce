"""The same work is written the same everywhere, whoever is named is listed, and page and BibTeX hold all of it."""

import re

import nbformat
import pytest
from book_pages import committed

from lossbook.book.bibliography import bibtex, cited, pages, read, references, systems
from lossbook.book.chapter import Chapter
from lossbook.catalog.papers import papers

# Mao, Mohri & Zhong 2023; Fang et al. bound norms; Hong & Ling (2023); Tyurin, AAAI 2025; Zipf (1935)
NAME = r"(?<!\w)(?:(?:de|De|van den|van de|van) )?[A-ZÉ][\w'é-]+"
YEAR = r"(?:,? [A-Z][A-Za-z]+)?,? \(?(?P<year>(?:19|20)\d\d)\b"
NAMED = re.compile(
    rf"(?P<first>{NAME})(?:(?:(?:, {NAME})*,? & {NAME}| et al\.)(?:{YEAR})?|{YEAR.replace('year', 'alone')})"
)


def chapter(*entries, stem="01_first"):
    text = "## What to read next\nMore.\n\n## References\n" + "\n".join(f"- {entry}" for entry in entries)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    return Chapter(stem[:2], stem, stem[3:], notebook)


HUBER = "Huber, P. J. (1964). Robust estimation. *Annals of Statistics* 35, 73-101."
MAO = "Mao, A., Mohri, M. & Zhong, Y. (2023). Cross-entropy loss functions. *ICML*, arXiv 2304.07288."


def surname(author):
    return author.partition(",")[0].split()[-1]


def test_an_entry_is_read_into_its_parts():
    work = read(
        "de Brébisson, A. & Vincent, P.\n  (2016). The Z-loss: shift vs. scale. *ICLR*, arXiv 1511.05042. (A note.)"
    )
    assert work.authors == ("de Brébisson, A.", "Vincent, P.")
    assert (work.year, work.title, work.arxiv) == (2016, "The Z-loss: shift vs. scale", "1511.05042")
    assert work.key == "debrebisson2016loss"
    assert work.where == "*ICLR*, arXiv 1511.05042. (A note.)"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("Huber, P. J. Robust estimation.", "expected Authors .year.. Title. Where"),
        ("Peter Huber (1964). Robust estimation.", "got 'Peter Huber', expected authors such as"),
        ("Huber, P. J. (1964).", "expected Authors .year.. Title. Where"),
    ],
)
def test_an_entry_without_year_title_or_surnames_is_refused_and_its_chapter_named(entry, message):
    with pytest.raises(ValueError, match=message):
        read(entry)
    with pytest.raises(ValueError, match="02_next: reference: got"):
        references(chapter(HUBER, entry, stem="02_next"))


def test_a_chapter_without_a_list_is_refused():
    with pytest.raises(ValueError, match="01_first: got no list of references"):
        references(chapter())


def test_a_work_of_two_chapters_is_one_entry_that_leads_to_both():
    made = pages([chapter(HUBER, MAO), chapter(MAO, stem="02_next")])["bibliography.md"]
    assert made.count("Cross-entropy loss functions.") == 1
    line = next(line for line in made.split("\n") if "Mao, A." in line)
    assert "[chapter 01](01_first.ipynb#References), [chapter 02](02_next.ipynb#References)" in line
    assert '<a href="atlas.html#comp_sum">comp_sum</a>' in line
    assert "[arXiv 2304.07288](https://arxiv.org/abs/2304.07288)" in line
    assert "atlas.html" not in next(line for line in made.split("\n") if "Huber, P. J." in line)


def test_a_work_that_is_written_in_two_ways_is_refused():
    with pytest.raises(ValueError, match=r"02_next: got .* expected what 01_first has"):
        cited([chapter(MAO), chapter(MAO.replace("*ICML*, ", ""), stem="02_next")])


@pytest.mark.parametrize(
    ("entry", "lines"),
    [
        (
            MAO,
            ["@inproceedings{mao2023cross,", "booktitle = {ICML}", "eprint = {2304.07288}", "archiveprefix = {arXiv}"],
        ),
        (
            "Chou, C. et al. (2026). Two speeds & one. arXiv 2605.27078.",
            ["@misc{", "{Chou, C. and others}", r"speeds \& one"],
        ),
        ("Zipf, G. K. (1935). *The Psycho-Biology*. Houghton Mifflin.", ["@book{", "publisher = {Houghton Mifflin}"]),
        ("Lee, A. (2000). Title. *Journal* 3. doi 10.1000/x1.", ["@article{", "volume = {3}", "doi = {10.1000/x1}"]),
    ],
)
def test_bibtex_knows_articles_proceedings_books_and_the_rest(entry, lines):
    made = bibtex(read(entry))
    assert [line for line in lines if line not in made] == []
    assert made.count("{") == made.count("}")


def test_the_chapters_write_the_same_work_the_same_way_and_in_order():
    chapters = committed()
    assert len(cited(chapters)) > 70  # it raises where two differ
    for each in chapters:
        works = references(each)
        names = [(work.authors[0].removeprefix("de ").removeprefix("van den ").casefold(), work.year) for work in works]
        assert names == sorted(names), each.stem
        assert len({work.text for work in works}) == len(works), each.stem
        assert [work.text for work in works if not work.text.endswith((".", ".)"))] == []


def test_up_to_four_authors_are_named_and_of_more_only_the_first():
    for work in cited(committed()):
        assert len(work.authors) <= 4
        assert "et al." not in work.authors[2:], work.text


def test_the_paper_of_every_implemented_system_is_in_the_references_of_its_chapter():
    listed = {each.number: systems(references(each)) for each in committed()}
    for paper in papers().values():
        if paper.implemented and paper.authors:
            assert paper in listed[paper.chapter].values(), paper.key


def test_a_system_s_paper_has_the_title_year_and_venue_of_the_atlas():
    known = systems(list(cited(committed())))
    assert len(known) > 10
    for work, paper in known.items():
        whole = re.sub(r"\W", "", paper.title.casefold())
        assert work.same == whole or (work.title.endswith("?") and whole.startswith(work.same)), paper.key
        assert work.year == paper.year
        assert surname(work.authors[0]) in paper.authors
        assert not paper.venue or f"*{paper.venue}*" in work.where, paper.key


def test_whoever_is_named_in_a_chapter_is_in_its_references():
    found = 0
    for each in committed():
        works = references(each)
        text = "\n\n".join(cell.source for cell in each.notebook.cells).partition("## References")[0]
        for name in NAMED.finditer(" ".join(re.sub(r"[*#|]", " ", text).split())):
            known = [work for work in works if surname(work.authors[0]) == name["first"].split()[-1]]
            year = name["year"] or name["alone"]
            assert any(year in (None, str(work.year)) for work in known), (each.stem, name[0])
            found += 1
        listed = {work.arxiv for work in works}
        numbers = re.findall(r"arXiv (\d{4}\.\d{4,5})", text)
        assert [number for number in numbers if number not in listed] == [], each.stem
    assert found > 40


def test_the_page_and_the_bibtex_hold_every_work_and_the_planned_systems_apart():
    chapters = committed()
    made = pages(chapters)
    works = cited(chapters)
    listed, _, planned = made["bibliography.md"].partition("## Systems that are planned")
    assert len(re.findall(r"^- ", listed, flags=re.MULTILINE)) == len(works)
    keys = re.findall(r"^@\w+\{(\S+),$", made["lossbook.bib"], flags=re.MULTILINE)
    assert len(keys) == len(set(keys))
    assert {work.key for work in works} <= set(keys)
    assert set(re.findall(r'atlas\.html#(\w+)"', made["bibliography.md"])) <= set(papers())
    assert "implemented" not in planned
    assert not any(f'atlas.html#{paper.key}"' in planned for paper in papers().values() if paper.implemented)
