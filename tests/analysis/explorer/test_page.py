"""tagpr.analysis.explorer.page: texts stay texts, links lead somewhere, counts are those of the exhibit."""

import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tagpr.analysis.explorer.choice import Candidate
from tagpr.analysis.explorer.exhibit import Card, Exhibit, Pay, Reply, Scene
from tagpr.analysis.explorer.page import explorer_page
from tagpr.chains.tags import TAGS, TagVocabulary, parse
from tagpr.types import ProfileEntry
from tests.analysis.explorer.conftest import Reader

NINE = TagVocabulary(names=list(TAGS))
CHAIN = (
    "<think><examine_examples><1> said so, <7> not</examine_examples>loose"
    "<infer_preference>quiet</infer_preference></think>quiet"
)


def reply(name="sft", completion=CHAIN, **fields):
    parsed = parse(completion, NINE, True)
    return Reply(
        **{
            "name": name, "completion": completion, "parsed": parsed, "thinking": True, "tag": None,
            "chips": [("✓ 1.00", "good")], "truths": [True, False][: len(parsed.spans)],
        } | fields
    )  # fmt: skip


def card(place=0, *, task="S2", flags=("right",), history=("a pier",), replies=None, query="where?", gold="quiet"):
    entries = [ProfileEntry(entry_id=str(n), input=text, response="lively") for n, text in enumerate(history)]
    scene = Scene(
        history=entries, notes=[], num_profile=9, num_cut=0, num_dropped=0, beside=[("profile_mode", "eerie")],
        replies=[reply()] if replies is None else replies,
    )  # fmt: skip
    candidate = Candidate(place=place, record_id=f"q{place}", task=task, user_id="ann", flags=frozenset(flags))
    return Card(chosen=candidate, said="", query=query, gold=gold, truth={}, scenes=[scene])


def page_of(*cards, candidates=None, filters=("right", "wrong"), **fields):
    return explorer_page(
        Exhibit(
            **{
                "kicker": "demo", "title": "Why?", "facts": {"rows": "sft"}, "unit": "questions",
                "filters": {name: f"is {name}" for name in filters}, "num_fitting": 5, "asked": "--seed 0",
                "candidates": candidates or [one.chosen for one in cards], "cards": cards, "tags": list(TAGS),
                "simulated": False, "warnings": [], "hints": [],
            } | fields
        )
    )  # fmt: skip


def test_nothing_is_run_or_loaded_and_ids_are_unique():
    page = page_of(card(0), card(1, task="S3"))
    read = Reader(page)
    assert not {"script", "link", "img", "iframe"} & set(read.names)
    assert not read.loads
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert max(Counter(read.ids).values()) == 1


def test_citations_lead_to_entries_and_those_of_nothing_stand_out():
    page = page_of(card(history=("a pier", "a hall"), replies=[reply(), reply("rl")]))
    read = Reader(page)
    assert read.links == ["#q1-1-e1"] * 2
    assert {"q1-1-e1", "q1-1-e2"} <= set(read.ids)
    assert page.count('title="the prompt shows no such entry">&lt;7&gt;</span>') == 2
    assert 'class="cited"' in re.search(r'<li id="q1-1-e1"[^>]*>', page)[0]
    assert 'class="entry"' in re.search(r'<li id="q1-1-e2"[^>]*>', page)[0]
    assert "cited by all" in read.text


def test_steps_carry_name_colour_truth_and_what_lies_outside():
    page = page_of(card(replies=[reply(span_rewards=[0.25, None])]))
    text = Reader(page).text
    assert '<span class="tag">examine_examples</span>' in page
    assert "✓ true" in text
    assert "✗ not true" in text
    assert "+0.250" in text
    assert '<li class="outside" title="outside every tag" dir="auto">loose</li>' in page
    assert "uncovered text: less than 90 %" in text


def test_counts_are_of_the_page_and_of_all():
    known = [card(place, flags=["wrong"] if place else ["right"]).chosen for place in range(8)]
    page = page_of(card(0), card(1, flags=["wrong"]), candidates=known)
    rows = {cells[0].strip(): cells[2:] for cells in rows_of(page)}
    assert rows == {"all": ["2", "8"], "right": ["1", "1 (12%)"], "wrong": ["1", "7 (88%)"]}
    assert "--seed 0, of 5 that fit." in Reader(page).text


def rows_of(page):
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    return [
        [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", body)
    ]


def test_filters_hide_the_rest_and_say_where_nothing_is_left():
    page = page_of(card(0), card(1, task="S3", flags=["wrong"]))
    assert 'class="question task-0 is-right"' in page
    assert 'class="question task-1 is-wrong"' in page
    hidden, empty = re.findall(r"^(main:has.*) \{ display: (none|block); \}$", page, re.MULTILINE)
    assert set(hidden[0].split(", ")) == {
        "main:has(#show-right:checked) .question:not(.is-right)",
        "main:has(#show-wrong:checked) .question:not(.is-wrong)",
        "main:has(#task-0:checked) .question:not(.task-0)",
        "main:has(#task-1:checked) .question:not(.task-1)",
    }
    assert set(empty[0].split(", ")) == {
        "main:has(#show-right:checked):has(#task-1:checked) .none",
        "main:has(#show-wrong:checked):has(#task-0:checked) .none",
    }


def test_a_group_shows_terms_gate_reward_and_advantage():
    pays = [
        Pay(terms={"task": (1.0, 1.0), "tag": (0.5, 0.34)}, rest=0.0, total=1.17, advantage=0.5),
        Pay(terms={"task": (0.25, 1.0), "tag": (0.0, 0.34)}, rest=-0.25, total=0.0, advantage=-1.0),
    ]
    page = page_of(card(replies=[reply(f"rollout {n}", pay=pay) for n, pay in enumerate(pays)]))
    cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[dh]>(.*?)</t[dh]>", page.partition('"pay"')[2])]
    assert cells == [
        "", "reward", "advantage", "", "task × 1", "tag × 0.34", "gate", "answer",
        "rollout 0", "1.170", "+0.500", "", "1.000", "0.500", "0", "quiet",
        "rollout 1", "0.000", "-1.000", "", "0.250", "0.000", "-0.250", "quiet",
    ]  # fmt: skip
    assert 'style="width:50%" class="fill up"' in page
    assert 'style="width:100%" class="fill down"' in page


def test_what_has_no_chain_no_history_and_no_gold_is_shown():
    direct = reply(completion="quiet", parsed=parse("quiet", NINE, False), thinking=False, truths=())
    silent = reply("rl", completion="<think>", parsed=parse("<think>", NINE, True), truths=())
    text = Reader(page_of(card(history=(), gold=None, replies=[direct, silent]))).text
    assert "No entry is shown (none of 9)." in text
    assert "withheld" in text
    assert "answer: quiet" in text
    assert "no answer" in text
    assert "unclosed thinking: <think> is never closed" in text


# What HTML cannot hold as it is: carriage returns and NUL.
ANY = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1, max_size=40)
MARKUP = st.sampled_from(["<script>alert(1)</script>", "</style><b>", '"><img src=x onerror=y>', "<!--", "&lt;", "]]>"])


@given(text=ANY | MARKUP)
def test_any_text_of_the_data_comes_back_as_text(text):
    plain = Reader(page_of(card()))
    read = Reader(page_of(card(history=(text,), query=text, gold=text)))
    assert read.names == plain.names
    assert {text} <= set(read.texts) or text in read.text
    assert read.text.count(text) >= plain.text.count(text)
    page = page_of(card(history=(text,)), kicker=text, facts={"rows": text}, hints=[("more", text)])
    assert Counter(Reader(page).names) == Counter(Reader(page_of(card(), hints=[("more", "x")])).names)


@given(text=ANY | MARKUP)
def test_any_completion_is_shown_without_becoming_markup(text):
    completion = f"<think>{text}<infer_preference>{text}</infer_preference></think>{text}"
    read = Reader(page_of(card(replies=[reply(completion=completion, truths=())])))
    assert not {"script", "img", "style"} & set(read.names[read.names.index("body") :])
    for word in text.split():
        if "<" not in word and ">" not in word:
            assert word in read.text
