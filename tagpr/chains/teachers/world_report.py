"""How good the simulated world's scripted teacher is: `python -m tagpr.chains.teachers.world_report data.size=small`.

Everything that a run would use is composed as a run would compose it (retrieval, prompt budgets, filter, tokenizer),
over the SFT questions of some train people; nothing is trained.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

from tagpr.chains.assemble import write_completion
from tagpr.chains.claims import examined_truly, pattern_holds, read_claims, true_rule
from tagpr.chains.filters import ROUNDING, Candidate, ChainFilter
from tagpr.chains.taggers.base import Tagger
from tagpr.chains.tags import TagVocabulary, parse
from tagpr.chains.teachers.scripted_world import ScriptedWorldTeacher
from tagpr.data.simulated.truth import shown_truth
from tagpr.errors import UserError
from tagpr.tasks import ALL_TASKS
from tagpr.types import Prompt

ALL_FAMILIES = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherFigures:
    """Of the chains about one task and family."""

    task: str
    family: str
    chains: int
    score: float  # the task's reward of the teacher's answers, on noisy golds; as all shares here in [0, 1]
    bayes: float  # the same of the Bayes answer given all shown entries
    right: float  # answers that score at least the task's bar
    kept: float  # chains that the filter keeps, rejection sampling included
    kept_right: float  # of those: at least the bar
    habitual: float  # share of chains
    kept_habitual: float  # of those that are kept
    unread: float  # entries shown that could not be read, per chain: the prompt's budget cut them
    misread: float  # entries misread on purpose, per chain
    inferred: float  # chains that state another rule than their evidence speaks for, on purpose
    applied: float  # chains that answer otherwise than their rule says, on purpose
    rule_true: float  # chains that state the person's own rule
    evidence_true: float  # chains whose lines say of their entries what is so
    pattern_true: float  # chains whose pattern holds in the entries that it cites
    tokens: float  # of a completion, tags included
    max_tokens: int

    def cells(self) -> list[str]:
        shares = (self.score, self.bayes, self.right, self.kept, self.kept_right, self.habitual, self.kept_habitual)
        errors = (
            self.unread,
            self.misread,
            self.inferred,
            self.applied,
            self.rule_true,
            self.evidence_true,
            self.pattern_true,
        )
        numbers = [f"{value:.3f}" for value in (*shares, *errors)]
        return [self.task, self.family, str(self.chains), *numbers, f"{self.tokens:.0f} ({self.max_tokens})"]


HEAD = (
    *("task", "family", "chains", "score", "Bayes", "right", "kept", "kept right", "habitual", "kept habitual"),
    *("unread", "misread", "other rule", "other answer", "rule true", "evidence true", "pattern true", "tokens (most)"),
)


def teacher_figures(
    prompts: Sequence[Prompt],
    teacher: ScriptedWorldTeacher,
    *,
    chain_filter: ChainFilter,
    tagger: Tagger,
    tags: TagVocabulary,
    tokenizer: Any,
    num_samples: int,
    seed: int,
) -> list[TeacherFigures]:
    """A row per task over all families, followed by a row per family of the task."""
    candidates: list[Candidate] = []
    notes: list[dict[str, float]] = []
    for prompt in prompts:
        truth = prompt.record.truth
        assert truth is not None, "only simulated records come here"
        gold = prompt.record.gold or ""
        task = ALL_TASKS[prompt.record.task]
        bayes = task.score(shown_truth(prompt.record, prompt.history)["bayes"]["answer"], gold)
        for index, (chain, habitual, slips) in enumerate(
            teacher.with_slips(prompt, num_samples=num_samples, seed=seed)
        ):
            completion = write_completion(chain.steps, tagger.tag(prompt, chain.steps), chain.answer, tags)
            spans = parse(completion, tags, True, task.is_valid).spans
            candidates.append(
                Candidate(
                    prompt=prompt,
                    sample_index=index,
                    reasoning=" ".join(chain.steps),
                    completion=completion,
                    answer=chain.answer,
                    score=task.score(chain.answer, gold),
                )
            )
            notes.append(
                {
                    "bayes": bayes,
                    "habitual": habitual,
                    "unread": slips.unread,
                    "misread": slips.misread,
                    "inferred": slips.inferred,
                    "applied": slips.applied,
                    "rule_true": read_claims(task.name, spans).rule == true_rule(truth),
                    "evidence_true": all(
                        examined_truly(task.name, span.text, prompt.history)
                        for span in spans
                        if span.tag == "examine_examples"
                    ),
                    "pattern_true": all(
                        pattern_holds(task.name, span.text, prompt.history)
                        for span in spans
                        if span.tag == "identify_patterns"
                    ),
                    "tokens": len(tokenizer(completion, add_special_tokens=False)["input_ids"]),
                }
            )
    scores: dict[str, list[float]] = {}
    for one in candidates:
        scores.setdefault(one.prompt.record.task, []).append(one.score)
    bars = chain_filter.bars(scores, ALL_TASKS)
    reasons = chain_filter.judge(candidates, tasks=ALL_TASKS, bars=bars, vocabulary=tags, seed=seed)
    return list(_rows(candidates, notes, reasons, bars))


def _rows(
    candidates: Sequence[Candidate],
    notes: Sequence[dict[str, float]],
    reasons: Sequence[str],
    bars: dict[str, float],
) -> Iterator[TeacherFigures]:
    families = [str((one.prompt.record.truth or {})["family"]) for one in candidates]
    for task in sorted(bars):
        for family in (ALL_FAMILIES, *dict.fromkeys(sorted(families))):
            inside = [
                place
                for place, one in enumerate(candidates)
                if one.prompt.record.task == task and family in (ALL_FAMILIES, families[place])
            ]
            if not inside:
                continue
            kept = [place for place in inside if not reasons[place]]
            right = {place: candidates[place].score >= bars[task] - ROUNDING for place in inside}
            yield TeacherFigures(
                task=task,
                family=family,
                chains=len(inside),
                score=mean(candidates[place].score for place in inside),
                right=mean(right[place] for place in inside),
                kept=len(kept) / len(inside),
                kept_right=mean(right[place] for place in kept) if kept else float("nan"),
                kept_habitual=mean(notes[place]["habitual"] for place in kept) if kept else float("nan"),
                max_tokens=int(max(notes[place]["tokens"] for place in inside)),
                **{name: mean(notes[place][name] for place in inside) for name in notes[0]},
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures as Markdown, at habit 0 and at the habit that the configuration has.

    Arguments: overrides as `tagpr` takes them, and `people=N`, the number of train people (80 without it).
    """
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from tagpr.compose import composed
    from tagpr.data.prompts import PromptBuilder
    from tagpr.tasks import task_named

    arguments = list(sys.argv[1:] if argv is None else argv)
    people = [argument.partition("=")[2] for argument in arguments if argument.startswith("people=")]
    try:
        cfg = composed([argument for argument in arguments if not argument.startswith("people=")])
        node = OmegaConf.to_container(cfg.data)
        assert isinstance(node, dict)
        seed = int(node.pop("seed"))
        source = instantiate(OmegaConf.create(node), _convert_="all")
        source.people["train"] = min(source.people["train"], int(people[-1]) if people else 80)
        source.people |= dict.fromkeys(("dev", "test"), 1)
        retrieval = instantiate(cfg.retrieval, _convert_="all")
        tokenizer = instantiate(cfg.backbone, _convert_="all").tokenizer()
        builder = PromptBuilder(style=instantiate(cfg.prompt, _convert_="all"), tokenizer=tokenizer)
        settings = instantiate(cfg.chains, _convert_="all")
        prompts = [
            builder.build(replace(record, retrieved=retrieval.rank(record, task_named(record.task), seed=seed)))
            for record in source.draw(seed=seed, advance=lambda people: None)
            if record.purpose == "sft"
        ]
        for habit in dict.fromkeys((0.0, cfg.teacher.habit)):
            teacher = instantiate(cfg.teacher, habit=habit, _convert_="all")
            rows = teacher_figures(
                prompts,
                teacher,
                chain_filter=settings.filter,
                tagger=instantiate(cfg.tagger, _convert_="all"),
                tags=instantiate(cfg.tags, _convert_="all"),
                tokenizer=tokenizer,
                num_samples=settings.num_samples,
                seed=seed,
            )
            print(f"\n## Habit {habit}, error rate {teacher.error_rate}, {teacher.examples} entries cited\n")
            print(
                "\n".join(f"| {' | '.join(line)} |" for line in [HEAD, ["---"] * len(HEAD), *(r.cells() for r in rows)])
            )
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
