"""What the tag reward pays, and whether it is true: tables of one or more RL stages, in Markdown.

    python -m experiments.tag_reward.table runs/cache/rl_single/FINGERPRINT... [--windows 10] [--best 10]

Per stage: R_tag and truth over the first and the last windows; Spearman of R_tag with the truth of the chain; the
best-rewarded chains. Simulated people only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from experiments.tag_reward.correlation import Correlation, overall, within
from experiments.tag_reward.rollouts import TRUTHS, JudgedRollout, commonest_rule, judged_rollouts, mean_of
from tagpr.analysis.text_tables import pipe_table
from tagpr.errors import UserError
from tagpr.storage import read_json

FIGURES: Mapping[str, Callable[[Sequence[JudgedRollout]], float]] = {
    "R_tag": lambda some: fmean(one.tag for one in some),
    "g_tags": lambda some: fmean(one.g_tags for one in some),
    "g_answer": lambda some: fmean(one.g_answer for one in some),
    "task reward": lambda some: fmean(one.task for one in some),
    **{truth: lambda some, truth=truth: mean_of(some, truth) for truth in TRUTHS},
    "commonest rule": commonest_rule,
    "spans": lambda some: fmean(one.num_spans for one in some),
    "tokens": lambda some: fmean(one.rollout.num_tokens for one in some),
}
OPEN = "g_tags open"
NOTE = (
    "true spans: share of a chain's examine, pattern, query, preference and apply spans that the world bears out (an "
    "application is true if it follows from the stated rule); true examples: of the examine spans alone; rule match: "
    "the stated rule is the person's; evidence F1: cited entries against the shown ones that follow the rule; "
    "commonest rule: share of the stated rules that are their task's commonest, word by word. A chain without such a "
    "span has no such figure. Spearman: overall, of all chains; within, mean over prompt groups in which both vary. "
    "95 % over people."
)


def page(stages: Sequence[Path], *, windows: int, best: int) -> list[str]:
    lines: list[str] = []
    for stage in stages:
        rollouts = judged_rollouts(stage)
        seed = read_json(stage / "manifest.json")["inputs"]["records"]
        lines += [f"## {stage.parent.name}/{stage.name[:10]}, world {seed[:10]}", ""]
        lines += [*development(rollouts, windows=windows), "", *correlations(rollouts), ""]
        lines += [*best_chains(rollouts, most=best), ""]
    return [*lines, NOTE]


def development(rollouts: Sequence[JudgedRollout], *, windows: int) -> list[str]:
    """Means over the first and the last windows, of all chains and of those whose tags are in order."""
    steps = sorted({one.rollout.step for one in rollouts})
    ends = {f"first {windows} windows": steps[:windows], f"last {windows} windows": steps[-windows:]}
    rows = []
    for name, chosen in ends.items():
        of = [one for one in rollouts if one.rollout.step in set(chosen)]
        for which, some in (("all", of), (OPEN, [one for one in of if one.g_tags])):
            if some:
                rows.append((name, which, str(len(some)), *(number(figure(some)) for figure in FIGURES.values())))
    return pipe_table(("windows", "chains", "number", *FIGURES), rows)


def correlations(rollouts: Sequence[JudgedRollout]) -> list[str]:
    rows = []
    for which, some in (("all", list(rollouts)), (OPEN, [one for one in rollouts if one.g_tags])):
        for truth in TRUTHS:
            known = [one for one in some if truth in one.truths]
            if not known:
                continue
            tags, truths = [one.tag for one in known], [one.truths[truth] for one in known]
            people = [one.rollout.user_id for one in known]
            inside = within(tags, truths, people, [one.group for one in known])
            rows.append(
                (which, truth, str(len(known)), rho(overall(tags, truths, people)), rho(inside), str(inside.groups))
            )
    return pipe_table(("chains", "R_tag with", "number", "overall [95 %]", "within group [95 %]", "groups"), rows)


def best_chains(rollouts: Sequence[JudgedRollout], *, most: int) -> list[str]:
    """The highest R_tag, the latest first where many have it, one per question."""
    top = max(one.tag for one in rollouts)
    lines = [f"Best chains ({sum(one.tag == top for one in rollouts)} of {len(rollouts)} have R_tag {top:.3f}):", ""]
    seen: set[tuple[str, str]] = set()
    for one in sorted(rollouts, key=lambda one: (-one.tag, -one.rollout.step)):
        question = one.rollout.task, one.rollout.record_id
        if len(seen) == most:
            break
        if question in seen:
            continue
        seen.add(question)
        truths = ", ".join(f"{name} {one.truths[name]:.2f}" for name in TRUTHS if name in one.truths)
        lines += [
            f"{len(seen)}. step {one.rollout.step}, {one.rollout.task} {one.rollout.record_id}: R_tag {one.tag:.3f}, "
            f"task {one.task:.2f}, {truths}",
            "",
            f"       {one.rollout.completion}",
            "",
        ]
    return lines


def rho(one: Correlation) -> str:
    return "-" if one.value != one.value else f"{one.value:+.2f} [{one.low:+.2f}, {one.high:+.2f}]"


def number(value: float) -> str:
    return "-" if value != value else f"{value:.0f}" if value >= 10 else f"{value:.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", type=Path, nargs="+", metavar="STAGE", help="folders of finished RL stages")
    parser.add_argument("--windows", type=int, default=10, help="at either end (default: %(default)s)")
    parser.add_argument("--best", type=int, default=10, help="chains printed of each stage (default: %(default)s)")
    given = parser.parse_args()
    try:
        print("\n".join(page(given.stages, windows=given.windows, best=given.best)))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
