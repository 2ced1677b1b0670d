"""tagpr.analysis.explorer.card and .chain: links lead somewhere, steps carry their marks, payments add up."""

import re

from tagpr.analysis.explorer.exhibit import Pay
from tagpr.chains.tags import parse
from tests.analysis.explorer.conftest import Reader
from tests.analysis.explorer.made_pages import NINE, card, page_of, reply


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
    first, second = (re.sub(r"<[^>]+>", "", step) for step in re.findall(r'<li class="step".*?</li>', page))
    assert first == "examine_examples<1> said so, <7> not✓ true+0.250".replace("<", "&lt;").replace(">", "&gt;")
    assert second == "infer_preferencequiet✗ not true"
    assert '<li class="outside" title="outside every tag" dir="auto">loose</li>' in page
    assert "uncovered text: less than 90 %" in text


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
