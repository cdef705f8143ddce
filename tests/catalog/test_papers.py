"""The catalogue of papers: complete, well-formed, and honest about what is implemented."""

import re

import pytest

from lossbook.catalog import RECORDS
from lossbook.catalog.papers import CHAPTERS, KINDS, NOTEBOOKS, Paper, papers, read, resolve
from lossbook.catalog.table import atlas_table, loss_table

# Each chapter, and the systems that it is to contain.
SYSTEMS = """
01 comp_sum dis_vs_gen lr_perceptron ocs_extrapolation
02 two_pass_softmax
03 z_loss siglip mw_loss cce decoupled_softmax
10 ldr polyloss ensloss squentropy dco dataset_equity
11 ca_loss legendretron smooth_ece dual_focal
12 asl anyloss transicd_ldam dice_sed dsc_nlp
13 pma vat convergesmooth flat_transfer
20 contrastive_behaviour g_simclr cacr msbreg
21 tcm_opis susana hyp_oc gpam metrix ms_loss
22 unpg symface
30 nkd_uskd dot_trainer dhkd makd pld
31 margin_mse cprd
32 grad_entanglement spo
40 sauna margin_bce basnet_hybrid
41 spockmip betti_matching topomortar
42 pirads_cotrain cbc_tracoco repri
43 barm bpkd bacs
44 pk_yolo
50 deqa reg_cls srl_geometry
51 ad_hazard
52 pinn_well causal_pinn ns_hardbc
53 meco domain_wall quantum_battery asteroid multitask_hebb
54 difface
60 unraveling_hessian filter_norm layerwise_lmc
61 gfs_sharpness curvature_instability small_scale_proxies
62 multi_sample_dropout saf momo train_longer
70 softmax_collapse lazy_rich
71 nc_cl_metrics deep_linear_nc
72 sgm_stability continual_eval two_perspectives
73 spectral_reg loss_of_plasticity plasticity_probe
74 tcr_rnn hier_poly
75 tokenization_theory
80 igb_v1 encodec_balancer bloop
81 fedld ast_distill
82 eqnet adaround baq
83 reste bivit mst_bnn ftwt
90 loss_to_loss dit_scaling nmt_scaling autoreg_scaling
91 mia_shift perf_shapley
92 log_barrier_ftrl
"""
CHAPTER_OF = {key: chapter for chapter, *keys in map(str.split, SYSTEMS.strip().splitlines()) for key in keys}
AUTHORS_UNKNOWN = {"baq", "nc_cl_metrics", "pinn_well", "quantum_battery"}
YEAR_UNKNOWN = {"domain_wall", "nc_cl_metrics", "pinn_well"}

ROW = """
[hinge]
title = "Support-vector networks"
year = 1995
kind = ["loss"]
chapter = "01"
implemented_by = ["lossbook.losses.hinge_loss"]
"""

each_paper = pytest.mark.parametrize("paper", papers().values(), ids=papers().keys())


def test_every_system_of_the_book_has_a_row_in_its_chapter():
    assert {key: paper.chapter for key, paper in papers().items()} == CHAPTER_OF
    assert len(CHAPTER_OF) == 117 + 1  # the systems, and the sheet of metric definitions


def test_rows_come_in_the_order_of_the_chapters():
    chapters = [paper.chapter for paper in papers().values()]
    assert chapters == sorted(chapters)


@each_paper
def test_a_row_says_what_the_system_is(paper):
    assert paper.kind
    assert set(paper.kind) <= set(KINDS)
    assert len(set(paper.kind)) == len(paper.kind)
    assert paper.chapter in CHAPTERS
    assert re.fullmatch(r"[a-z][a-z0-9_]*", paper.key)  # it is an anchor in the chapter


@each_paper
def test_a_row_says_where_the_system_comes_from(paper):
    for text in (paper.title, paper.authors, paper.venue):
        assert text == " ".join(text.split())
        assert not re.search(r"arXiv|[;()]|\.\.\.|, *$", text), "a note has slipped in"
    assert bool(paper.authors) != (paper.key in AUTHORS_UNKNOWN)
    assert (paper.year is None) == (paper.key in YEAR_UNKNOWN)
    assert paper.year is None or 1900 <= paper.year < 2100
    assert re.fullmatch(r"(\d{4}\.\d{4,5})?", paper.arxiv)
    if paper.arxiv:  # an arXiv id begins with its year and month; print follows, or came a little earlier
        assert 2000 + int(paper.arxiv[:2]) <= paper.year + 1


def test_no_two_rows_are_of_the_same_paper():
    numbers = [paper.arxiv for paper in papers().values() if paper.arxiv]
    titles = [paper.title.lower() for paper in papers().values()]
    assert len(set(numbers)) == len(numbers)
    assert len(set(titles)) == len(titles)


@each_paper
def test_what_is_said_to_be_implemented_can_be_imported(paper):
    assert paper.status == ("implemented" if paper.implemented_by else "planned")
    assert len(set(paper.implemented_by)) == len(paper.implemented_by)
    for dotted in paper.implemented_by:
        assert dotted.startswith("lossbook.")
        assert resolve(dotted) is not None
    if paper.implemented:
        assert paper.chapter in NOTEBOOKS


def test_the_systems_of_chapter_01_are_implemented():
    assert all(paper.implemented for paper in papers().values() if paper.chapter == "01")


def test_records_name_systems_that_exist_and_are_listed_there():
    for record in RECORDS.values():
        if record.system:
            assert f"lossbook.losses.{record.key}" in papers()[record.system].implemented_by


def test_a_row_is_read_whole():
    assert read(ROW) == {
        "hinge": Paper("hinge", "Support-vector networks", ("loss",), "01", ("lossbook.losses.hinge_loss",), year=1995)
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("year = 1995", "yaer = 1995", r"hinge: got the unknown field 'yaer', expected title, .*year"),
        ('chapter = "01"', "", r"hinge: chapter is missing, expected title, kind, chapter, implemented_by"),
        ("year = 1995", 'year = "1995"', r"hinge: year: got '1995', expected an integer"),
        ("year = 1995", "year = true", r"hinge: year: got True, expected an integer"),
        ("year = 1995", 'arxiv = ""', r"hinge: arxiv: got '', expected text"),
        ('kind = ["loss"]', "kind = []", r"hinge: kind: got \[\], expected a list"),
        ('kind = ["loss"]', "kind = [1]", r"hinge: kind: got \[1\], expected a list of strings"),
        ('kind = ["loss"]', 'kind = ["lost"]', r"hinge: kind: got 'lost', expected kinds among loss, metric"),
        ('chapter = "01"', 'chapter = "04"', r"hinge: chapter: got '04', expected a chapter among 00, 01"),
        ("[hinge]", "hinge = 1\n[other]", r"hinge: got 1, expected a table"),
    ],
)
def test_a_bad_row_is_refused_by_its_key_and_field(old, new, message):
    with pytest.raises(ValueError, match=message):
        read(ROW.replace(old, new))


@pytest.mark.parametrize("dotted", ["lossbook.losses.hinged_loss", "lossbook.lost", "", "not a name"])
def test_a_name_of_nothing_is_refused(dotted):
    with pytest.raises(ValueError, match=r"dotted: got .* expected the dotted name of an importable object"):
        resolve(dotted)


def test_the_atlas_links_what_is_implemented_to_its_section_and_nothing_else():
    html = atlas_table(base="notebooks/")
    sections = set(re.findall(r'href="notebooks/([^"]+)"', html))
    assert sections == {f"{NOTEBOOKS[p.chapter]}#{p.key}" for p in papers().values() if p.implemented}


def test_the_atlas_shows_every_system_once_under_its_chapter():
    html = atlas_table()
    for chapter, body in re.findall(r'scope="rowgroup" colspan="4">(\d\d) · (.*?)</tbody>', html, flags=re.DOTALL):
        assert body.count('scope="row"') == sum(paper.chapter == chapter for paper in papers().values())
    assert html.count('scope="row"') == len(papers())
    assert html.count("<caption>") == 1


def test_titles_are_escaped_in_the_atlas():
    paper = Paper("p", 'p < q & "r"', ("loss",), "01", ())
    assert "p &lt; q &amp; &quot;r&quot;" in atlas_table({"p": paper})


def test_the_table_of_losses_has_a_row_with_the_formula_of_each_record():
    html = loss_table()
    assert html.count('scope="row"') == len(RECORDS)
    assert all(f"<code>{key}</code>" in html for key in RECORDS)
    assert html.count(r"\(") == html.count(r"\)") >= len(RECORDS)
