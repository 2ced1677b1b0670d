"""tagpr.analysis.world_page: what the page says of a world, and that no text of it becomes markup."""

from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tagpr.analysis.chain_view import COLOURS
from tagpr.analysis.elements import el, join
from tagpr.analysis.world_examples import choose_people, own_answers
from tagpr.analysis.world_page import IN_WORDS, world_page
from tagpr.data.simulated.command import compose_source, main
from tagpr.data.simulated.gates import Gate
from tagpr.data.simulated.logic import FAMILIES
from tagpr.data.simulated.truth import WORLD

SMOKE = ["data.size=smoke"]


class Reader(HTMLParser):
    """Ids, names of elements, links out and texts of a page; fails where elements are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids, self.names, self.loads, self.open, self.text = Counter(), Counter(), [], [], ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.names[tag] += 1
        self.ids.update(value for name, value in attrs if name == "id")
        self.loads += [value for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def source():
    return compose_source(SMOKE)


@pytest.fixture(scope="module")
def records(source):
    return source.draw(seed=0, advance=lambda people: None)


@pytest.fixture(scope="module")
def gates(source, records):
    return source.gates(records)


def page_of(records, gates):
    return world_page(records, gates, version={WORLD: "abc123"}, size="smoke", seed=0)


def test_the_page_says_what_it_shows_and_loads_nothing(records, gates):
    page = page_of(records, gates)
    read = Reader(page)
    assert "Simulated people, not people" in read.text
    assert "never averaged or compared with LaMP" in read.text
    assert "abc123" in read.text
    assert not read.loads
    assert not {"script", "link", "img", "iframe"} & set(read.names)
    assert "url(" not in page
    assert "@import" not in page
    assert max(read.ids.values()) == 1
    assert {"families", "people", "gates", "gates-S2", "person-1"} <= set(read.ids)
    for gate in gates:
        assert f"<td>{gate.name}</td><td>{gate.value:.3f}</td><td>{gate.bound:.3f}</td>" in page
    assert f'style="background:{COLOURS["infer_preference"]}"' in page
    assert page == page_of(records, gates)


def test_every_family_and_task_has_somebody(records):
    people = choose_people(records)
    # Four families over S2 and S3 in turn, and one person for S5's manner.
    kinds = [(r.truth["family"], r.task) for r in people]
    assert kinds[:4] == [("lexicographic", "S2"), ("veto", "S3"), ("threshold", "S2"), ("contrarian", "S3")]
    assert [task for _, task in kinds[4:]] == ["S5"]
    assert len({r.user_id for r in people}) == 5
    assert {r.split for r in people} == {"test"}
    assert set(IN_WORDS) == set(FAMILIES)


def test_what_a_rule_says_tells_the_slips():
    everything = ["data.tasks=[S1,S2,S3,S4,S5,S7]", f"data.families=[{','.join(FAMILIES)}]"]
    world = compose_source([*SMOKE, "data.sizes.smoke.train=1", *everything]).draw(seed=1, advance=lambda people: None)
    chosen = {record.user_id + record.task: record for record in world if record.split == "test"}
    assert {record.task for record in chosen.values()} == {"S1", "S2", "S3", "S4", "S5", "S7"}
    assert "drifter" in {record.truth["family"] for record in chosen.values()}
    for record in chosen.values():
        own = own_answers(record)
        same = [place for place, (o, e) in enumerate(zip(own, record.profile, strict=True)) if o.answer == e.response]
        assert same == record.truth["evidence"]


def test_texts_of_the_data_stay_texts(records, gates):
    (first, *_) = choose_people(records)
    evil = '<script>alert("x")</script>'
    entry = replace(first.profile[0], input=evil, response=evil)
    changed = replace(first, profile=(entry, *first.profile[1:]), query=first.query, gold=evil, user_id=f"u<i>{evil}")
    page = page_of([changed if record is first else record for record in records], gates)
    read = Reader(page)
    assert read.names["script"] == read.names["i"] == 0
    assert evil not in page
    assert page.count("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;") == 4
    assert read.text.count(evil) == 4


def test_a_missed_gate_is_said_at_the_top(records, gates):
    missed = Gate(task="S2", name="nearest entry", value=0.9, bound=0.5)
    text = Reader(page_of(records, [*gates, missed])).text
    assert f"✗ 1 of {len(gates) + 1} gates are missed: S2 nearest entry." in text
    assert "gates of this copy are met" not in text


def test_parts_are_escaped_once():
    inner = el("b", "a < b", class_="x", data_y='"')
    assert inner == '<b class="x" data-y="&quot;">a &lt; b</b>'
    assert join(inner, " & ") == inner + " &amp; "


def test_the_command_writes_the_same_bytes_and_names_a_wrong_place(source, records, gates, tmp_path, capsys):
    out = tmp_path / "world.html"
    assert main(["page", "--size", "smoke", "--out", str(out)]) == 0
    page = world_page(records, gates, version=source.version(records), size="smoke", seed=0)
    assert out.read_bytes() == page.encode()
    assert main(["page", "--size", "smoke", "--out", str(tmp_path / "no" / "a.html")]) == 2
    assert "expected a file in a folder that is there" in capsys.readouterr().err
