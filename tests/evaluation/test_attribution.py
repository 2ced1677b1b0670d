"""Edits of chains, as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.chains.tags import TAGS, TagVocabulary, parse, render_chain
from tagpr.evaluation.attribution import EDITS, NO_CHAIN, REWRITING, UNEDITED, Donors, edits_of, read_chain

ALL = TagVocabulary(names=list(TAGS))
EXAMINE, INFER, APPLY = "examine_examples", "infer_preference", "apply_preference"


def chain_of(completion):
    return read_chain(completion, parse(completion, ALL, True))


def spans(**texts):
    return "".join(f"<{tag}>{text}</{tag}>" for tag, text in texts.items())


def edited(completion, *others, task="S2"):
    """(tag, edit) -> forced prefix, or the reason why there is none; others are donors' completions."""
    chain = chain_of(completion)
    everybody = [(task, "ann", "r0", chain), *((task, f"other{i}", f"r{i}", chain_of(o)) for i, o in enumerate(others))]
    return {
        (one.tag, one.edit): one.prefix or one.why_not
        for one in edits_of(chain, task=task, user_id="ann", donors=Donors(everybody), seed="0")
    }


OWN = f"<think>{spans(examine_examples='<1> a', infer_preference='user : b', apply_preference='so : c')}</think>c"
OTHER = f"<think>{spans(examine_examples='<2> x', infer_preference='user : y', apply_preference='so : z')}</think>z"


def test_every_edit_of_a_chain_of_three_steps_by_hand():
    found = edited(OWN, OTHER)
    whole = OWN.removesuffix("c")
    assert found[NO_CHAIN, UNEDITED] == whole
    assert found[NO_CHAIN, "early_answer"] == "<think></think>"
    rest = spans(apply_preference="so : c") + "</think>"
    first = "<think>" + spans(examine_examples="<1> a")
    assert found[INFER, "drop"] == first + rest
    assert found[INFER, "drop_rewrite"] == first + "<apply_preference>"
    assert found[INFER, "swap"] == first + spans(infer_preference="user : y") + rest
    assert found[INFER, "swap_rewrite"] == first + spans(infer_preference="user : y")
    assert found[INFER, "paraphrase"] == first + spans(infer_preference="user b") + rest
    assert found[INFER, "paraphrase_rewrite"] == first + spans(infer_preference="user b")
    assert found[INFER, "early_answer"] == first + spans(infer_preference="user : b") + "</think>"
    assert found[EXAMINE, "paraphrase"] == found[EXAMINE, "paraphrase_rewrite"] == "no_paraphrase"
    assert [found[APPLY, edit] for edit in sorted(REWRITING)] == ["nothing_follows"] * 3
    assert found[APPLY, "early_answer"] == "whole_chain"
    assert len(found) == 2 + 3 * len(EDITS)


def test_all_spans_of_a_tag_go_together_and_what_stood_between_them_stays():
    own = "<think>\n<examine_examples>a</examine_examples> <infer_preference>b</infer_preference>\n" \
          "<examine_examples>c</examine_examples><apply_preference>d</apply_preference>\n</think>\n\nd"  # fmt: skip
    found = edited(own)
    kept = "<think>\n <infer_preference>b</infer_preference>\n"
    assert found[EXAMINE, "drop"] == kept + "<apply_preference>d</apply_preference>\n</think>"
    assert found[EXAMINE, "drop_rewrite"] == kept + "<apply_preference>"
    # the step behind the tag's last span is what goes on, and nobody else has spans to give
    assert found[INFER, "drop_rewrite"].endswith("</examine_examples>") is False
    assert found[INFER, "drop_rewrite"].endswith("<examine_examples>")
    assert found[EXAMINE, "swap"] == "no_donor"
    assert found[NO_CHAIN, "early_answer"] == "<think>\n</think>"


def test_a_donor_is_another_person_of_the_same_task_with_as_many_spans_that_differ():
    two = "<think><examine_examples>p</examine_examples><examine_examples>q</examine_examples></think>z"
    same = f"<think>{spans(examine_examples='<1> a')}</think>z"
    one = chain_of(OWN)
    donors = Donors(
        [("S2", "ann", "r9", chain_of(OTHER)), ("S2", "bob", "r1", chain_of(two)), ("S2", "cat", "r2", chain_of(same)),
         ("S3", "dan", "r3", chain_of(OTHER))]
    )  # fmt: skip
    assert donors.draw("S2", "ann", one.texts(EXAMINE), tag=EXAMINE, seed="0") is None
    assert donors.draw("S2", "eve", one.texts(EXAMINE), tag=EXAMINE, seed="0") == ("<2> x",)
    assert donors.draw("S2", "eve", ("a", "b"), tag=EXAMINE, seed="0") == ("p", "q")


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_the_people():
    chains = [
        ("S2", f"u{i}", f"r{i}", chain_of(f"<think>{spans(examine_examples=f'say {i}')}</think>z")) for i in range(9)
    ]
    drawn = {
        seed: {Donors(order).draw("S2", "me", ("own",), tag=EXAMINE, seed=seed) for order in (chains, chains[::-1])}
        for seed in "abcdefgh"
    }
    assert all(len(choice) == 1 for choice in drawn.values())
    assert len(set.union(*drawn.values())) > 1


@pytest.mark.parametrize(
    "completion",
    ["c", "<think><examine_examples>a</examine_examples>", "<think>no tags</think>c", "<think></think>c", "</think>c"],
)
def test_without_a_closed_block_or_a_span_there_is_nothing_to_edit(completion):
    assert chain_of(completion) is None


TEXTS = st.text(alphabet="ab <1>:.", max_size=12).filter(lambda text: "<" not in text.replace("<1>", ""))


@given(st.lists(st.tuples(st.sampled_from(list(TAGS)), TEXTS), min_size=1, max_size=6))
def test_edits_touch_the_spans_of_their_tag_alone(steps):
    completion = render_chain([text for _, text in steps], [tag for tag, _ in steps], "c")
    chain = chain_of(completion)
    other = chain_of(render_chain([f"{text} z" for _, text in steps], [tag for tag, _ in steps], "c"))
    donors = Donors([("S2", "ann", "r", chain), ("S2", "bob", "s", other)])
    found = edits_of(chain, task="S2", user_id="ann", seed="0", donors=donors)
    for one in found:
        if one.why_not or one.edit in (UNEDITED, "early_answer"):
            continue
        assert one.prefix != chain.head
        read = parse(one.prefix + ("" if one.prefix.endswith("</think>") else "</think>") + "c", ALL, True).spans
        own = [(s.tag, s.text) for s in chain.spans]
        kept = [pair for pair in own if pair[0] != one.tag]
        others = [(s.tag, s.text) for s in read if s.tag != one.tag]
        assert others == (kept if one.edit not in REWRITING else kept[: len(others)])
        if one.edit.startswith("drop"):
            assert one.tag not in {s.tag for s in read}
