"""The built site, read as files: each link leads somewhere, each picture has words, nothing is asked of a network."""

import re
from collections import Counter

import nbformat
import pytest
from built_site import ROOT, pages, site

from lossbook.catalog import RECORDS
from lossbook.catalog.papers import NOTEBOOKS

pytestmark = pytest.mark.browser  # building the site takes minutes where it is out of date


def over_pages(find):
    """What `find` finds wrong, by page; pages without fault are left out."""
    found = {name: find(page) for name, page in pages().items()}
    return {name: wrong for name, wrong in found.items() if wrong}


def test_there_is_a_page_for_each_chapter_and_for_each_thing_to_look_up():
    expected = {name.replace(".ipynb", ".html") for name in NOTEBOOKS.values()}
    expected |= {"index.html", "search.html", "atlas.html", "comparison.html", "glossary.html", "notation.html"}
    expected |= {"bibliography.html", "catalogue.html", "running.html", "api/index.html"}
    assert expected <= pages().keys()


def test_each_link_within_the_site_leads_to_a_page_and_each_fragment_to_an_element_of_it():
    ids = {page.path.resolve(): {*page.ids, ""} for page in pages().values()}
    ids[site() / "comparison.html"] |= set(RECORDS)  # its script reads the fragment as losses

    def broken(page):
        goals = {address: page.goal(address) for address in page.addresses() if not address.startswith("data:")}
        inside = {address: goal for address, goal in goals.items() if goal}
        assert inside
        return [
            address
            for address, (path, fragment) in inside.items()
            if not path.exists() or path.is_dir() or fragment not in ids.get(path, {fragment})
        ]

    assert over_pages(broken) == {}


def test_nothing_that_a_page_loads_comes_from_elsewhere():
    def loads(page):
        of = [(tag, attributes.get("src") or "") for tag, attributes in page.elements if tag not in ("a",)]
        of += [(tag, attributes["href"]) for tag, attributes in page.elements if tag == "link" and "href" in attributes]
        return [address for _, address in of if re.match(r"(https?:)?//", address)]

    assert over_pages(loads) == {}
    styles = [path for path in (site() / "_static").rglob("*.css") if "mathjax" not in path.parts]
    assert styles
    fetched = {
        path.name: re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)\"']*", path.read_text()) for path in styles
    }
    assert {name: found for name, found in fetched.items() if found} == {}


def test_each_image_has_words():
    images = [image for page in pages().values() for image in page.all("img")]
    assert len(images) > 60
    assert over_pages(lambda page: [image["src"] for image in page.all("img") if not image.get("alt")]) == {}


def test_no_id_stands_twice_on_a_page():
    assert over_pages(lambda page: [name for name, count in Counter(page.ids).items() if count > 1]) == {}


def test_each_page_says_its_language_and_has_a_title_of_its_own():
    titles = Counter(
        re.search(r"<title>(.*?)</title>", page.path.read_text(), re.DOTALL)[1] for page in pages().values()
    )
    assert {title: count for title, count in titles.items() if count > 1} == {}
    assert over_pages(lambda page: [html for html in page.all("html") if html.get("lang") != "en"]) == {}


@pytest.mark.parametrize("name", sorted(NOTEBOOKS.values()))
def test_a_chapter_can_be_taken_away_whole_without_solutions_and_as_its_exercises(name):
    page, here = pages()[name.replace(".ipynb", ".html")], site() / "notebooks"
    links = [link for link in page.all("a") if "download" in link and link["href"].endswith(".ipynb")]
    files = [page.goal(link["href"])[0] for link in links]
    assert files == [(here / folder / name).resolve() for folder in ("", "student", "worksheets")]
    whole, *for_students = (nbformat.read(file, as_version=4) for file in files)
    assert whole == nbformat.read(ROOT / "notebooks" / name, as_version=4)
    assert not any("solution" in cell.metadata.get("tags", []) for each in for_students for cell in each.cells)


def test_each_chapter_fits_a_binder_session_of_two_gigabytes():
    text = (site() / "running.html").read_text(encoding="utf-8")
    taken = [float(number) for number in re.findall(r">\s*(?:<p>)?([\d.]+) GB", text)]
    assert len(taken) == len(NOTEBOOKS)
    assert 0.3 < min(taken) <= max(taken) < 2
