"""tagpr.analysis.prmu_page: what the page says, what it does when there is too little, and that no text is markup."""

from html.parser import HTMLParser

import pytest
import torch

from tagpr.analysis.prmu_page import figure_text, prmu_page
from tagpr.evaluation.prmu_answers import PICKERS, HackProbe
from tagpr.evaluation.prmu_diagnosis import PrmuDiagnosis
from tagpr.evaluation.prmu_figures import Figure
from tagpr.evaluation.prmu_judgement import SWAP, Calibration, LengthFigure, SwapMatrix, Swaps
from tagpr.evaluation.prmu_people import FamilyProbe, PeopleMap, PeopleReport
from tagpr.prmu.card import PROFILING
from tagpr.prmu.command import main

GOOD = Figure(value=0.8125, interval=(0.75, 0.875), count=1234, people=60)
FEW = Figure(value=0.5, interval=None, count=12, people=3)
NONE = Figure(value=float("nan"), interval=None, count=0, people=0)
EVIL = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """Names, ids, places that the page loads from, and its text; fails where elements are not closed in order."""

    def __init__(self, html):
        super().__init__()
        self.names, self.ids, self.loads, self.open, self.text = set(), [], [], [], ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.loads += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def diagnosis(**changes):
    lengths = [LengthFigure(kind=kind, length=n, accuracy=GOOD) for kind in (SWAP, "N1") for n in (0, 2)]
    lengths.append(LengthFigure(kind="N4", length=0, accuracy=FEW))
    example = SwapMatrix(query=EVIL, people=("ann", EVIL), answers=("quiet", EVIL), own=(0, 1), rewards=torch.eye(2))
    values = {
        "facts": {"architecture": "bilinear", "gate": "not met", "gate, swap": "accuracy 0.870"},
        "fingerprint": "0123456789abcdef",
        "simulated": True,
        "by_length": {"unseen": lengths, "seen": []},
        "swaps": Swaps(by_task={"": (GOOD, 0.5, GOOD), "S2": (FEW, 0.5, NONE)}, example=example),
        "calibration": Calibration(
            bins=((0.55, FEW), (0.9, GOOD)), ece=0.03, ece_if_calibrated=0.02, ece_uncalibrated=0.05, temperature=0.7,
            num_pairs=1246,
        ),
        "best_of_n": {name: {1: GOOD, 4: FEW} for name in PICKERS},
        "hacks": [HackProbe(cue="said twice", is_text=True, raised=GOOD, hacked=FEW, shift=GOOD)],
        "people": PeopleReport(
            maps=(PeopleMap(task="S2", points=torch.eye(4)[:, :2].numpy(), families=("veto", "veto", "", "novelty"),
                            explained=0.4),),
            probes=(FamilyProbe(task="S2", families=("novelty", "veto"), accuracy={"user vector": GOOD,
                                "bag of words": GOOD}, left_out=1),),
            why_not="",
        ),
    }  # fmt: skip
    return PrmuDiagnosis(**{**values, **changes})


@pytest.fixture(scope="module")
def html():
    return prmu_page(diagnosis())


@pytest.fixture(scope="module")
def page(html):
    return Reader(html)


def test_every_figure_has_its_n_and_its_interval_or_too_few():
    assert (
        figure_text(GOOD).replace("<small>", " ").replace("</small>", "") == "0.812 [0.750, 0.875] n 1,234, 60 people"
    )
    assert "0.500" in figure_text(FEW)
    assert "too few" in figure_text(FEW)
    assert "n 12, 3 people" in figure_text(FEW)
    assert "nothing to measure" in figure_text(NONE)
    assert "nan" not in figure_text(NONE)


def test_the_parts_are_there(page):
    parts = ("length", "swaps", "calibration", "best", "hacks", "people")
    assert {f"part-{part}" for part in parts} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    for said in ("Gate not met", "swap: accuracy 0.870", "1 of 2 bins have too few", "1 person of rarer ones left out"):
        assert said in page.text
    assert "Simulated people" in page.text
    assert page.text.count(PROFILING) == 3


def test_no_text_is_markup_and_nothing_is_loaded(page):
    assert "script" not in page.names
    assert EVIL in page.text
    assert all(place.startswith("#") for place in page.loads)
    assert "image" not in page.names  # the page's own policy would forbid it


def test_the_same_figures_give_the_same_page(html):
    assert prmu_page(diagnosis()) == html


def test_what_cannot_be_measured_is_said():
    nothing = {"unseen": [], "seen": []}
    swaps = Swaps(by_task={"": (NONE, float("nan"), NONE)}, example=None)
    people = PeopleReport(maps=(), probes=(), why_not="This architecture has no vector per person.")
    bare = diagnosis(
        by_length=nothing,
        swaps=swaps,
        calibration=None,
        best_of_n={},
        hacks=[],
        people=people,
        facts={},
        simulated=False,
    )
    text = Reader(prmu_page(bare)).text
    for said in ("no pairs to judge", "nothing can be swapped", "no pairs of unseen", "no answers of dev people",
                 "no vector per person"):  # fmt: skip
        assert said in text
    assert "nan" not in text
    assert "Simulated people" not in text


def test_the_command_needs_a_finished_stage(tmp_path, capsys):
    assert main(["page", str(tmp_path), "-o", str(tmp_path / "page.html")]) == 2
    assert "holds no PRMU" in capsys.readouterr().err
    assert main(["page", str(tmp_path), "-o", str(tmp_path / "gone" / "page.html")]) == 2
    assert "expected a file in a folder that is there" in capsys.readouterr().err


@pytest.mark.slow
def test_a_trained_model_gets_its_page(tagpr, tmp_path):
    answer = tagpr("experiment=smoke", "until=prmu", f"paths.runs={tmp_path}")
    assert answer.code == 0, answer.err
    (folder,) = [place for place in (tmp_path / "cache" / "prmu").iterdir() if place.is_dir()]
    assert main(["page", str(folder), "-o", str(tmp_path / "page.html")]) == 0
    page = Reader((tmp_path / "page.html").read_text())
    assert "too few" in page.text  # 8 dev people
    assert "contrarian" in page.text
