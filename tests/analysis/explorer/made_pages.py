"""Pages of cards made by hand."""

from tagpr.analysis.explorer.choice import Candidate
from tagpr.analysis.explorer.exhibit import Card, Exhibit, Reply, Scene
from tagpr.analysis.explorer.page import explorer_page
from tagpr.chains.tags import TAGS, TagVocabulary, parse
from tagpr.types import ProfileEntry

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
