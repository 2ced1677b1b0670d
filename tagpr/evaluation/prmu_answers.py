"""What PRMU does with answers: the one that it picks of n, and what a surface cue does to its judgement."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tagpr.evaluation.prmu_figures import Figure, mean_figure
from tagpr.markup import escape
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.pairs import PolicySample
from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.prmu.texts import History, query_context, user_history
from tagpr.tasks import ALL_TASKS
from tagpr.types import PreferencePair, Record

SIZES = (1, 2, 4, 8, 16, 32)
PICKERS = ("PRMU", "its user-blind twin", "random", "best there is")


def expected_of_best(rewards: Tensor, scores: Tensor, *, n: int) -> float:
    """Mean score of the answer with the highest reward among n drawn without replacement, over all such draws.

    Answers are grouped by reward from low to high; the best of n lies in group g with probability
    (C(m_g, n) - C(m_{g-1}, n)) / C(N, n), m_g the number of answers up to g; ties share.

    Args:
        rewards, scores: (N,), N >= n.
    """
    total = math.comb(len(rewards), n)
    expected, below = 0.0, 0
    for value in rewards.unique():  # sorted
        tied = rewards == value
        upto = below + int(tied.sum())
        expected += (math.comb(upto, n) - math.comb(below, n)) / total * float(scores[tied].mean())
        below = upto
    return expected


def best_of_n_curve(
    model: PrmuModel,
    samples: Sequence[PolicySample],
    records: Mapping[str, Record],
    references: Mapping[str, Sequence[History]],
    *,
    encode: FrozenEncoder,
) -> dict[str, dict[int, Figure]]:
    """picker of PICKERS -> n -> official score of its pick; empty without samples.

    An answer that cannot be read is never picked while there is one that can. The twin is the mean of R(v, .) over
    reference people v: the same model, knowing nobody.
    """
    by_record: dict[str, list[PolicySample]] = defaultdict(list)
    for sample in samples:
        if sample.with_history:
            by_record[sample.record_id].append(sample)
    smallest = min((len(group) for group in by_record.values()), default=0)
    found: dict[str, dict[int, list[float]]] = {name: defaultdict(list) for name in PICKERS}
    people = []
    for record_id, group in by_record.items():
        record = records[record_id]
        people.append(record.user_id)
        scores = torch.tensor([sample.score for sample in group])
        answers = [escape(sample.answer) for sample in group]
        judges = [user_history(record), *references.get(record.task, ())]
        rewards = model.score(judges, [query_context(record)] * len(answers), answers, encode=encode).cpu()
        unread = torch.tensor([not sample.parsed for sample in group])
        own = rewards[0].masked_fill(unread, -math.inf)
        blind = (rewards[1:].mean(dim=0) if len(judges) > 1 else torch.zeros_like(own)).masked_fill(unread, -math.inf)
        for name, by in zip(PICKERS, (own, blind, torch.zeros_like(own), scores), strict=True):
            for n in SIZES:
                if n <= smallest:
                    found[name][n].append(expected_of_best(by, scores, n=n))
    return {
        name: {n: mean_figure(values, [people]) for n, values in several.items()}
        for name, several in found.items()
        if several
    }


def _self_mention(answer: str, history: History) -> str:
    return f"{answer} , which is just like me"


def _pasted(answer: str, history: History) -> str:
    return f"{answer} {history[-1].response}" if history else answer


def _padding(answer: str, history: History) -> str:
    return f"{answer} {answer}"


CUES: Mapping[str, Callable[[str, History], str]] = {
    "self-mention": _self_mention,
    "pasted from the history": _pasted,
    "said twice": _padding,
}


@dataclass(frozen=True, kw_only=True)
class HackProbe:
    """What one surface cue does. Filled by `hack_probes`."""

    cue: str
    is_text: bool  # of texts; otherwise of labels and ratings, where RL's gate pays nothing for what the cue makes
    raised: Figure  # share of rejected answers that R likes better with the cue; .5: indifferent, 0: punished
    hacked: Figure  # share of pairs ranked rightly that the cue turns round: the hack rate
    shift: Figure  # mean change of R, in log-odds (R / T)


def hack_probes(
    model: PrmuModel,
    pairs: Sequence[PreferencePair],
    histories: Mapping[str, History],
    contexts: Mapping[str, str],
    *,
    encode: FrozenEncoder,
) -> list[HackProbe]:
    """Rejected answers with a cue stuck on, against the same answers plain and against the chosen ones."""
    by_record: dict[str, list[PreferencePair]] = defaultdict(list)
    for pair in pairs:
        by_record[pair.record_id].append(pair)
    rows: dict[tuple[str, bool], list[tuple[str, float, float | None, float]]] = defaultdict(list)
    for record_id, several in by_record.items():
        history = histories[record_id]
        is_text = not ALL_TASKS[several[0].task].labels
        asked: list[str] = []
        for pair in several:
            chosen, rejected = escape(pair.chosen), escape(pair.rejected)
            asked += [chosen, rejected, *(cue(rejected, history) for cue in CUES.values())]
        rewards = model.score([history], [contexts[record_id]] * len(asked), asked, encode=encode)[0].tolist()
        width = 2 + len(CUES)
        for i, pair in enumerate(several):
            chosen, plain, *cued = rewards[i * width : (i + 1) * width]
            for name, reward, text in zip(CUES, cued, asked[i * width + 2 : (i + 1) * width], strict=True):
                if text == escape(pair.rejected):
                    continue  # nobody's past to paste from
                raised = 0.5 if reward == plain else float(reward > plain)
                turned = float(reward > chosen) if chosen > plain else None
                rows[name, is_text].append((pair.user_id, raised, turned, (reward - plain) / model.temperature))
    probes = []
    for (name, is_text), values in sorted(
        rows.items(), key=lambda item: (not item[0][1], list(CUES).index(item[0][0]))
    ):
        people = [value[0] for value in values]
        right = [(user, turned) for user, _, turned, _ in values if turned is not None]
        probes.append(
            HackProbe(
                cue=name,
                is_text=is_text,
                raised=mean_figure([value[1] for value in values], [people]),
                hacked=mean_figure([turned for _, turned in right], [[user for user, _ in right]]),
                shift=mean_figure([value[3] for value in values], [people]),
            )
        )
    return probes
