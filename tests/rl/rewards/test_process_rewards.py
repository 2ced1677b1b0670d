"""What spans earn: which tokens they are, how the gold's likelihood moves, and whether the world bears them out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from tagpr.chains.tags import TAGS, Span, TagVocabulary, open_tag, parse, render_chain
from tagpr.data.simulated.logic import Rule
from tagpr.errors import BadInputError
from tagpr.lm.backbone import load_policy, load_tokenizer, tiny_base_path
from tagpr.lm.forward import completion_logprobs
from tagpr.lm.generation.base import Completion
from tagpr.rl.reference import ReferencePolicy
from tagpr.rl.rewards.gold_likelihood import GoldLikelihood
from tagpr.rl.rewards.span_tokens import span_tokens, token_ends
from tagpr.rl.rewards.span_truth import SpanTruth, span_truths
from tagpr.rl.rollouts import RlPrompt, RolloutBatch
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Prompt, Record

VOCABULARY = TagVocabulary(names=tuple(TAGS))
STEPS = {
    "examine_examples": "<1> cosy mood snug cosy same mood 1 <2> lively mood noisy lively same mood 2",
    "infer_preference": "user : mood , place if no mood",
    "apply_preference": "so : quiet",
}
FALSE_STEPS = STEPS | {"infer_preference": "user : theme , mood if no theme"}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return load_tokenizer(tiny_base_path())


def completion_of(text: str, tokenizer: PreTrainedTokenizerBase, *, truncated: bool = False) -> Completion:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert isinstance(tokenizer.eos_token_id, int)
    ids = list(ids) if truncated else [*ids, tokenizer.eos_token_id]
    return Completion(token_ids=tuple(ids), logprobs=(-1.0,) * len(ids), text=text, truncated=truncated)


def prompt_of(tokenizer: PreTrainedTokenizerBase, *, gold: str | None = "quiet", truth: bool = True) -> RlPrompt:
    profile = (
        ProfileEntry(entry_id="1", input="a snug cafe by the pier, full of dice", response="cosy"),
        ProfileEntry(entry_id="2", input="a noisy cafe by the grove", response="lively"),
    )
    rule = Rule("lexicographic", "mood", "place", ()).as_json()
    record = Record(
        record_id="q", user_id="ann", task="S2", split="train", purpose="rl", question="",
        query="a calm lodge by the ridge, full of drums", gold=gold, profile=profile, retrieved=(0, 1),
        truth={"rule": rule, "preferred": "quiet", "evidence": [0, 1]} if truth else None,
    )  # fmt: skip
    prompt = Prompt(record=record, text="", history=profile, thinking=True, num_cut=0, num_dropped=0)
    ids = tokenizer(f"tag : {record.query}", add_special_tokens=False)["input_ids"]
    return RlPrompt(prompt=prompt, token_ids=list(ids), task=ALL_TASKS["S2"], gold=gold)


def rollouts_of(groups: Sequence[Sequence[str]], tokenizer, prompts: Sequence[RlPrompt]) -> RolloutBatch:
    return RolloutBatch(
        prompts=prompts,
        completions=[[completion_of(text, tokenizer) for text in group] for group in groups],
        parsed=[[parse(text, VOCABULARY, True) for text in group] for group in groups],
        vocabulary=VOCABULARY,
    )


def chain(steps: dict[str, str], answer: str = "quiet") -> str:
    return render_chain(list(steps.values()), list(steps), answer)


def test_spans_tile_the_chain_with_their_tags(tokenizer) -> None:
    completion = completion_of(chain(STEPS), tokenizer)
    parsed = parse(completion.text, VOCABULARY, True)
    ((ends),) = token_ends([completion], tokenizer)
    assert ends[-1] == ends[-2] == len(completion.text)
    bounds = span_tokens(parsed.spans, ends)
    names = tokenizer.convert_ids_to_tokens(list(completion.token_ids))
    assert bounds[0][0] == 1  # behind <think>
    assert [end for _, end in bounds[:-1]] == [first for first, _ in bounds[1:]]
    assert [names[first] for first, _ in bounds] == [open_tag(tag) for tag in STEPS]
    assert names[bounds[-1][1]] == "</think>"


def test_tokens_that_are_not_the_texts_own_are_decoded_one_by_one(tokenizer) -> None:
    """`cosy` letter by letter: another tokenisation of the same text, and the same characters behind each span."""
    usual = completion_of("<think><verify_fit>cosy é</verify_fit></think>quiet", tokenizer)
    head, tail = usual.token_ids[:2], usual.token_ids[-4:]
    letters = [tokenizer.convert_tokens_to_ids(letter) for letter in "cosy"]
    rest = tokenizer(" é", add_special_tokens=False)["input_ids"]
    spelt = (*head, *letters, *rest, *tail)
    odd = Completion(token_ids=spelt, logprobs=(-1.0,) * len(spelt), text=usual.text, truncated=False)
    assert spelt != usual.token_ids
    span = parse(odd.text, VOCABULARY, True).spans
    (ends,), (usual_ends,) = token_ends([odd], tokenizer), token_ends([usual], tokenizer)
    assert ends == sorted(ends)
    ((first, end),), ((_, usual_end),) = span_tokens(span, ends), span_tokens(span, usual_ends)
    assert first == 1
    assert spelt[end:] == usual.token_ids[usual_end:]


def test_a_token_across_two_spans_belongs_to_the_first() -> None:
    spans = [Span(tag="a", text="", start=3, end=4), Span(tag="b", text="", start=11, end=12)]
    # <a>x</a><b>y</b> in tokens that end at 4, 9 (one character into the second span), 16.
    assert span_tokens(spans, [4, 9, 16]) == [(0, 2), (2, 3)]
    assert span_tokens(spans, [16]) == [(0, 1), (1, 1)]


@pytest.fixture(scope="module")
def reference() -> ReferencePolicy:
    score = partial(completion_logprobs, temperature=1.0, method="two_part", chunk_size=512)
    model = load_policy(tiny_base_path(), dtype="float32", attention="two_part")
    return ReferencePolicy(model=model, score_tokens=score, max_tokens=300, pad_id=0)


def test_gold_likelihood_equals_one_plain_forward_per_prefix(tokenizer, reference) -> None:
    """[log p(gold | spans <= j) - log p(gold | spans < j)], each from the whole text alone through the plain model."""
    prompts = [prompt_of(tokenizer), prompt_of(tokenizer, gold=None)]
    texts = [chain(STEPS), chain({"restate_task": "tag", **STEPS}), "<think>no tags</think>quiet"]
    rollouts = rollouts_of([texts, texts], tokenizer, prompts)
    found = GoldLikelihood().open(reference=reference, tokenizer=tokenizer)(rollouts)
    assert [len(spans) for spans in found.spans[0]] == [3, 4, 0]
    assert found.spans[1] == [[], [], []]  # its gold is withheld

    def log_p(before_close: str) -> float:
        head = tokenizer(f"{before_close}</think>", add_special_tokens=False)["input_ids"]
        gold = [*tokenizer("quiet", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        ids = torch.tensor([[*prompts[0].token_ids, *head, *gold]])
        with torch.no_grad():
            logprobs = reference.model(input_ids=ids).logits.log_softmax(-1)[0]
        return sum(float(logprobs[len(ids[0]) - len(gold) - 1 + k, token]) for k, token in enumerate(gold))

    for text, spans in zip(texts, found.spans[0], strict=True):
        parsed = parse(text, VOCABULARY, True)
        ends = [parsed.spans[0].outer_start, *(span.outer_end for span in parsed.spans)] if parsed.spans else []
        values = [log_p(text[:end]) for end in ends]
        expected = [after - before for before, after in pairwise(values)]
        assert [span.reward for span in spans] == pytest.approx(expected, abs=1e-4)
        assert [span.tag for span in spans] == [span.tag for span in parsed.spans]
    # Rewards of a completion telescope: all spans together against none.
    assert sum(one.reward for one in found.spans[0][0]) == pytest.approx(
        log_p(texts[0][: texts[0].index("</think>")]) - log_p("<think>"), abs=1e-4
    )


def test_equal_prefixes_are_scored_once(tokenizer, reference) -> None:
    scorer = GoldLikelihood().open(reference=reference, tokenizer=tokenizer)
    one, four = (
        scorer(rollouts_of([[chain(STEPS)] * n], tokenizer, [prompt_of(tokenizer)])).scored_tokens for n in (1, 4)
    )
    assert one == four > 0


def test_span_truth_is_the_worlds(tokenizer) -> None:
    prompt = prompt_of(tokenizer)
    spans = [parse(chain(steps), VOCABULARY, True).spans for steps in (STEPS, FALSE_STEPS)]
    assert span_truths(prompt, spans[0]) == [True, True, True]
    # The rule is another's, and `quiet` does not follow from it.
    assert span_truths(prompt, spans[1]) == [True, False, False]
    rewards = SpanTruth().open(reference=None, tokenizer=tokenizer)(
        rollouts_of([[chain(STEPS), chain(FALSE_STEPS | {"restate_task": "tag"})]], tokenizer, [prompt])
    )
    assert [[span.reward for span in own] for own in rewards.spans[0]] == [[1, 1, 1], [1, 0, 0]]
    assert rewards.scored_tokens == 0


def test_truth_is_for_simulated_people(tokenizer) -> None:
    spans = parse(chain(STEPS), VOCABULARY, True).spans
    with pytest.raises(BadInputError, match="data=simulated"):
        span_truths(prompt_of(tokenizer, truth=False), spans)
