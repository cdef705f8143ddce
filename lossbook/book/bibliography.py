"""One bibliography for all chapters, made from the references at their ends and from the systems of the atlas."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from lossbook.book.chapter import Chapter
from lossbook.book.equations import prose
from lossbook.catalog.papers import CHAPTERS, Paper, papers
from lossbook.checks import bad_value

ITEM = re.compile(r"^- (?P<item>.+(?:\n[ ]{2,}\S.*)*)", re.MULTILINE)
ENTRY = re.compile(r"(?P<authors>[^()]+?) \((?P<year>\d{4})\)\. (?P<rest>\S.*)")
TITLE_ENDS = re.compile(r"(?<=[.?!*])\s+(?=[A-Z*(]|arXiv\s)")
ARXIV = re.compile(r"arXiv (?P<id>\d{4}\.\d{4,5})")
DOI = re.compile(r"doi (?P<id>10\.\S+?)(?=[.,]?(?:\s|$))")
AUTHOR = re.compile(r"(?<=\.), | & |(?<=\.) (?=et al\.)")
VENUE = re.compile(r"\*(?P<name>[^*]+)\*(?: (?P<volume>\d+)(?:, (?P<pages>\d+-\d+))?)?")

OPENING = """# Bibliography

Every work that a chapter names, once. The end of an entry leads to the chapters that cite it and, where it is a system
of the book, to its card in the [atlas](atlas.md). All of it as BibTeX: {download}`lossbook.bib`.

"""
PLANNED = """
## Systems that are planned

The other systems of the atlas, in the order of the chapters that are to treat them. What is not known is left out.

"""


@dataclass(frozen=True)
class Work:
    """An entry of a list of references."""

    text: str  # as the chapter has it, on one line
    authors: tuple[str, ...]  # "Mao, A."; the last may be "et al."
    year: int
    title: str  # without emphasis
    where: str  # what stands behind the title: "*ICLR*, arXiv 2501.04697 (note)."; may be empty

    @property
    def arxiv(self) -> str:
        """Its number at arXiv, or nothing."""
        found = ARXIV.search(self.where)
        return found["id"] if found else ""

    @property
    def key(self) -> str:
        """Its name in BibTeX and on the page: first surname, year, first long word of the title."""
        surname = self.authors[0].partition(",")[0]
        return _plain(surname) + str(self.year) + next(map(_plain, re.findall(r"\w{4,}", self.title)), "")

    @property
    def same(self) -> str:
        """What two entries of one work share: letters and digits of the title."""
        return _plain(self.title)


def read(item: str) -> Work:
    """An entry of a list of references.

    Args:
        item: "Authors (year). Title. Where."; surnames before initials, "&" before the last author.

    Raises:
        ValueError: it has no year, or no title, or an author has no surname.

    Example:
        >>> work = read("Mao, A., Mohri, M. & Zhong, Y. (2023). Cross-entropy losses. *ICML*, arXiv 2304.07288.")
        >>> work.authors, work.year, work.title, work.arxiv, work.key
        (('Mao, A.', 'Mohri, M.', 'Zhong, Y.'), 2023, 'Cross-entropy losses', '2304.07288', 'mao2023cross')
    """
    text = " ".join(item.split())
    found = ENTRY.fullmatch(text)
    if found is None:
        raise bad_value("reference", text, "Authors (year). Title. Where.")
    title, *rest = TITLE_ENDS.split(found["rest"], maxsplit=1)
    authors = tuple(AUTHOR.split(found["authors"]))
    if unnamed := [author for author in authors if not re.fullmatch(r"et al\.|[^\d,]+, [^,]+\.", author)]:
        raise bad_value("reference", unnamed[0], "authors such as: Mohri, M. & Zhong, Y.")
    return Work(text, authors, int(found["year"]), title.rstrip(".").strip("*").rstrip("."), " ".join(rest))


def references(chapter: Chapter) -> list[Work]:
    """What stands below "## References" of a chapter.

    Raises:
        ValueError: the chapter has no such list, or an entry of it cannot be read; it names the chapter.
    """
    parts = re.split(r"^## References\s*$", "\n\n".join(prose(chapter)), flags=re.MULTILINE)
    items = [found["item"] for found in ITEM.finditer(parts[-1])]
    if len(parts) != 2 or not items:
        raise ValueError(f"{chapter.stem}: got no list of references, expected one at the end")
    try:
        return [read(item) for item in items]
    except ValueError as error:
        raise ValueError(f"{chapter.stem}: {error}") from error


def cited(chapters: Sequence[Chapter]) -> dict[Work, list[Chapter]]:
    """Every work once, by surname and year, and the chapters that cite it.

    Raises:
        ValueError: two chapters write the same work differently, or two works have one key.
    """
    first: dict[str, tuple[Work, list[Chapter]]] = {}
    for chapter in chapters:
        for work in references(chapter):
            known, places = first.setdefault(work.arxiv or work.same, (work, []))
            if known.text != work.text:
                raise ValueError(
                    f"{chapter.stem}: got {work.text!r}, expected what {places[0].stem} has: {known.text!r}"
                )
            places.append(chapter)
    ordered = dict(sorted(first.values(), key=lambda entry: (_name(entry[0]), entry[0].year, entry[0].title)))
    names: dict[str, Work] = {}
    for work in ordered:
        if names.setdefault(work.key, work) is not work:
            raise ValueError(f"{work.key}: got two works of this key, {names[work.key].title!r} and {work.title!r}")
    return ordered


def systems(works: Sequence[Work]) -> dict[Work, Paper]:
    """The works that are systems of the atlas, by the number at arXiv or, without one, by the title."""
    known = {paper.arxiv or _plain(paper.title): paper for paper in papers().values() if paper.authors}
    return {work: known[name] for work in works for name in (work.arxiv, work.same) if name in known}


def pages(chapters: Sequence[Chapter]) -> dict[str, str]:
    """The bibliography's page, and the same as BibTeX: path -> text."""
    works = cited(chapters)
    known = systems(list(works))
    rest = [paper for paper in papers().values() if paper not in known.values() and not paper.implemented]
    rest = [paper for paper in rest if paper.authors]
    entries = "".join(_entry(work, places, known.get(work)) for work, places in works.items())
    planned = PLANNED + "".join(map(_planned, rest)) if rest else ""
    bib = [bibtex(work) for work in works] + [_bibtex_of_paper(paper) for paper in rest if paper.year]
    return {"bibliography.md": OPENING + entries + planned, "lossbook.bib": "\n".join(bib)}


def bibtex(work: Work) -> str:
    """A work as BibTeX: an article where it has a volume, a paper of proceedings, a book, or something on its own.

    Example:
        >>> print(bibtex(read("Huber, P. J. (1964). Robust estimation. *Annals of Statistics* 35, 73-101.")))
        @article{huber1964robust,
          author = {Huber, P. J.},
          title = {{Robust estimation}},
          year = {1964},
          journal = {Annals of Statistics},
          volume = {35},
          pages = {73--101},
        }
        <BLANKLINE>
    """
    fields = {"author": _people(work.authors), "title": f"{{{work.title}}}", "year": str(work.year)}
    venue, kind = VENUE.search(work.where), "misc"
    if venue:
        kind = "article" if venue["volume"] else "inproceedings"
        fields |= {"journal" if venue["volume"] else "booktitle": venue["name"], "volume": venue["volume"] or ""}
        fields["pages"] = (venue["pages"] or "").replace("-", "--")
    elif publisher := re.fullmatch(r"([A-Z][\w ]+)\.", work.where):
        kind, fields["publisher"] = "book", publisher[1]
    if doi := DOI.search(work.where):
        fields["doi"] = doi["id"]
    return _bibtex(kind, work.key, fields | _eprint(work.arxiv))


def _bibtex_of_paper(paper: Paper) -> str:
    people = tuple(re.split(r", | & | (?=et al\.)", paper.authors))
    fields = {"author": _people(people), "title": f"{{{paper.title}}}", "year": str(paper.year)}
    kind = "inproceedings" if paper.venue else "misc"
    return _bibtex(kind, paper.key, fields | {"booktitle": paper.venue} | _eprint(paper.arxiv))


def _bibtex(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = "".join(f"  {name} = {{{_tex(value)}}},\n" for name, value in fields.items() if value)
    return f"@{kind}{{{key},\n{lines}}}\n"


def _eprint(arxiv: str) -> dict[str, str]:
    return {"eprint": arxiv, "archiveprefix": "arXiv" if arxiv else ""}


def _people(authors: Sequence[str]) -> str:
    return " and ".join("others" if author == "et al." else author for author in authors)


def _tex(text: str) -> str:
    return re.sub(r"(?<!\\)[&%#_]", r"\\\g<0>", text)


def _entry(work: Work, places: Sequence[Chapter], paper: Paper | None) -> str:
    text = ARXIV.sub(r"[arXiv \g<id>](https://arxiv.org/abs/\g<id>)", work.text)
    text = DOI.sub(r"[doi \g<id>](https://doi.org/\g<id>)", text)
    links = ", ".join(f"[chapter {chapter.number}]({chapter.stem}.ipynb#References)" for chapter in places)
    return f'- <a id="{work.key}"></a>{text} Cited in {links}{_card(paper) if paper else ""}.\n'


def _planned(paper: Paper) -> str:
    year = f" ({paper.year})" if paper.year else ""
    arxiv = f"[arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})" if paper.arxiv else ""
    where = ", ".join(part for part in (f"*{paper.venue}*" if paper.venue else "", arxiv) if part)
    title = f"{paper.authors}{year}. {paper.title}.{f' {where}.' if where else ''}"
    return f"- {title} For chapter {paper.chapter}, {CHAPTERS[paper.chapter]}{_card(paper)}.\n"


def _card(paper: Paper) -> str:
    return f'; atlas: <a href="atlas.html#{paper.key}">{escape(paper.key)}</a>'


def _name(work: Work) -> str:
    """What it is sorted by: surnames, without particles and accents."""
    return " ".join(_plain(re.sub(r"^(?:de|van den|van de|van) ", "", author)) for author in work.authors)


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in letters if letter.isalnum())
