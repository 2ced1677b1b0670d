"""What R_tag pays reference chains, and what it pays their cheap imitations, on the questions of a drawn world.

    python -m experiments.tag_reward.probes runs/cache/records/FINGERPRINT [--questions 200]

Reference chains are written by somebody who knows each person's rule, from the entries that RL's prompts show. Prints
Markdown; the exit code is 1 where less than 99 % of the reference chains score .95.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from tagpr.analysis.text_tables import pipe_table
from tagpr.chains.assemble import write_completion
from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import ParsedCompletion, TagVocabulary, parse
from tagpr.data.prompts import PromptBuilder
from tagpr.data.simulated.reasoning import reference_chain
from tagpr.evaluation.stage import shown_positions
from tagpr.rl.rewards.probes import PROBES, UNSEEN, probe_scores
from tagpr.rl.rollouts import RlPrompt
from tagpr.storage import read_records
from tagpr.tasks import task_named
from tagpr.types import Record

OWN = "own"
GOOD, SHARE = 0.95, 0.99


def scores(
    prompts: Sequence[RlPrompt], vocabulary: TagVocabulary, *, examples: int, **bounds: int
) -> dict[str, list[float]]:
    """Probe -> R_tag on each question; `own` is the reference chain's.

    Args:
        prompts: of one task and several people.
        examples: most entries that a reference chain cites.
        bounds: min_words and max_words of the tag term.
    """
    parsed = [_reference(one, vocabulary, examples=examples) for one in prompts]
    found: dict[str, list[float]] = {name: [] for name in (OWN, *PROBES)}
    for place, (chain, prompt) in enumerate(zip(parsed, prompts, strict=True)):
        if not chain.g_tags:
            found[OWN].append(0.0)
            continue
        # Another person, whose entries the chain was not written from.
        other = next(at for at in (*range(place + 1, len(prompts)), *range(place)) if _differs(prompts[at], prompt))
        pair = [chain, parsed[other]], [prompt, prompts[other]]
        for name, value in probe_scores(*pair, vocabulary=vocabulary, most=1, **bounds).items():
            found[name].append(value)
    return found


def _differs(one: RlPrompt, other: RlPrompt) -> bool:
    return one.prompt.record.user_id != other.prompt.record.user_id


def _reference(prompt: RlPrompt, vocabulary: TagVocabulary, *, examples: int) -> ParsedCompletion:
    shown = list(zip(shown_positions(prompt.prompt), prompt.prompt.history, strict=True))
    chain = reference_chain(prompt.prompt.record, shown, examples=examples)
    tags = RulesTagger().tag(prompt.prompt, chain.steps)
    return parse(write_completion(chain.steps, tags, chain.answer, vocabulary), vocabulary, True, prompt.task.is_valid)


def table(by_task: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    """A line per probe: mean on each task, and over all questions the ends and the share that is as good as good."""
    rows = []
    for name in (OWN, *PROBES):
        values = [value for found in by_task.values() for value in found[name]]
        means = (f"{fmean(found[name]):.3f}" if found[name] else "-" for found in by_task.values())
        label = "reference chains" if name == OWN else f"{name} *" if name in UNSEEN else name
        ends = (f"{min(values):.2f}", f"{max(values):.2f}", f"{fmean(value >= GOOD for value in values):.1%}")
        rows.append((label, str(len(values)), *means, *ends))
    return pipe_table(("chains", "number", *by_task, "lowest", "highest", f">= {GOOD}"), rows)


def demo_prompts(records: Path, cfg: Any, *, questions: int) -> dict[str, list[RlPrompt]]:
    """As many train questions of each task, drawn at random, in the demo's prompts."""
    from hydra.utils import instantiate

    built = [instantiate(node, _convert_="all") for node in (cfg.prompt, cfg.backbone)]
    builder = PromptBuilder(style=built[0], tokenizer=built[1].tokenizer())
    of_tasks: dict[str, list[Record]] = {}
    for record in read_records(records, ["train"]):
        of_tasks.setdefault(record.task, []).append(record)
    draw = random.Random(0)
    return {
        task: [
            RlPrompt(prompt=builder.build(one), token_ids=[], task=task_named(task), gold=one.gold)
            for one in draw.sample(own, min(questions, len(own)))
        ]
        for task, own in of_tasks.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, help="folder of a finished records stage of experiment=demo")
    parser.add_argument("--questions", type=int, default=200, help="of each task (default: %(default)s)")
    given = parser.parse_args()
    from tagpr.compose import composed

    cfg = composed(["experiment=demo"])
    score = cfg.reward.terms.tag.score
    by_task = {
        task: scores(
            prompts,
            TagVocabulary(names=list(cfg.tags.names)),
            examples=cfg.teacher.examples,
            min_words=score.min_words,
            max_words=score.max_words,
        )
        for task, prompts in demo_prompts(given.records, cfg, questions=given.questions).items()
    }
    print("\n".join(table(by_task)))
    good = [value >= GOOD for found in by_task.values() for value in found[OWN]]
    return 0 if fmean(good) >= SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
