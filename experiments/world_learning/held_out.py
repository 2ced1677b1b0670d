"""What training never met: a family of people, and forms of texts; and every family by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.world_learning.figures import (
    ABOVE,
    BEST,
    BLIND,
    GAP,
    MEAN,
    SCORE,
    halves,
    lead,
    scores,
    text,
    with_best,
)
from experiments.world_learning.read import (
    FAMILIES,
    Answer,
    Arm,
    arms_of,
    shared_seeds,
    tasks_of,
    unaware_scores,
)
from tagpr.analysis.text_tables import pipe_table

# Flags of a question's truth: what the slice is, and what the rest is.
HELD_OUT_TEXTS = {
    "held_out_frame": "the question stands in a pattern that no train text uses",
    "held_out_words": "it holds a word that no train text uses",
    "held_out_pair": "it joins two values that never meet in train texts",
}


def families(folder: Path) -> list[str]:
    """Test people of a family that nobody in training had, and test texts of forms that no train text has."""
    arms = arms_of(folder, FAMILIES)
    lines = []
    if "known" in arms and "held_out" in arms:
        lines += [*_held_out_family(*shared_seeds([arms["known"], arms["held_out"]])), ""]
    if "known" in arms:
        lines += [*_held_out_texts(arms["known"]), ""]
    for name in ("known", "eight"):
        lines += [*_each_family(arms[name]), ""] if name in arms else []
    return lines


def _held_out_family(known: Arm, held_out: Arm) -> list[str]:
    records = held_out.records
    has_rule = {key for key, record in records.items() if record.truth and "rule" in record.truth}

    def of_people(answers: Sequence[Answer], unseen: bool) -> list[Answer]:
        return [one for one in answers if one.key in has_rule and _truth(held_out, one)["held_out_family"] is unseen]

    unaware: dict[tuple[int, str, str], float] = {}
    for seed, one in held_out.evaluations().items():
        asked = {(task, record): found for (s, task, record), found in records.items() if s == seed}
        unaware |= {(seed, *question): score for question, score in unaware_scores(one, asked).items()}
    families = {_truth(held_out, one)["family"] for one in of_people(held_out.answers(), True)}
    rows = []
    for unseen, whose in ((True, f"held out ({', '.join(sorted(families))})"), (False, "the others")):
        with_family, without = (of_people(arm.answers(), unseen) for arm in (known, held_out))
        if not without:
            continue
        own, ceiling = scores(without), scores(with_best(without, _scored(without, unaware)))
        trained = scores(with_family)
        below = lead(without, _scored(without, unaware))
        lost = lead(without, with_family)
        number = str(len({(one.seed, one.user) for one in without}))
        rows += [
            (
                whose, task, number, text(own[BLIND, task]), text(own[SCORE, task]), text(trained[SCORE, task]),
                text(lost[SCORE, task], "+"), text(ceiling[BEST, task]), text(below[SCORE, task], "+"),
                text(own[BEST, task]), text(own[GAP, task]), text(trained[GAP, task]),
            )
            for task in (MEAN, *tasks_of(without))
        ]  # fmt: skip
    headings = (
        "people", "task", "number", "blind", "trained without the family", "trained with it", "difference",
        "Bayes not knowing it", "score minus that", "Bayes knowing it", "gap closed without", "gap closed with",
    )  # fmt: skip
    return [
        "## A family held out of training", "", *pipe_table(headings, rows), "",
        "Tasks with a rule alone: manners have no family. Bayes not knowing the family believes that only train "
        "people's families exist; gap closed is to Bayes knowing it. Both policies answered the same questions of the "
        "same test people and had equally many training people and steps, but other training people: the difference "
        "is that of two trainings, too.",
    ]  # fmt: skip


def _each_family(arm: Arm) -> list[str]:
    """Every family that test people have, those that the policy does not learn among them."""
    ruled = [one for one in arm.answers() if "rule" in _truth(arm, one)]
    of: dict[str, list[Answer]] = {}
    for one in ruled:
        of.setdefault(_truth(arm, one)["family"], []).append(one)
    tasks = tasks_of(ruled)
    rows = []
    for family in sorted(of, key=lambda name: -len(of[name])):
        own = scores(of[family])
        rows.append(
            (
                family, str(len({(one.seed, one.user) for one in of[family]})), text(own[BLIND, MEAN]),
                text(own[SCORE, MEAN]), text(own[ABOVE, MEAN], "+"), text(own[BEST, MEAN]), text(own[GAP, MEAN]),
                *(text(own.get((GAP, task))) for task in tasks),
            )
        )  # fmt: skip
    headings = (
        "family",
        "people",
        "blind",
        "score",
        "above blind",
        "Bayes",
        "gap closed",
        *(f"{t} gap" for t in tasks),
    )
    return [
        f"## Family by family ({arm.name})", "", *pipe_table(headings, rows), "",
        f"Tasks with a rule alone ({', '.join(tasks)}); SFT saw people of "
        f"{', '.join(_truth(arm, ruled[0])['seen_families'])}. No intervals with fewer than 20 people.",
    ]  # fmt: skip


def _scored(answers: Sequence[Answer], known: Mapping[tuple[int, str, str], float]) -> list[Answer]:
    """The same questions as somebody else answered them, who is their own ceiling."""
    return [
        Answer(
            seed=one.seed, user=one.user, task=one.task, record_id=one.record_id, score=known[one.key],
            blind=one.blind, best=known[one.key],
        )
        for one in answers
    ]  # fmt: skip


def _held_out_texts(arm: Arm) -> list[str]:
    answers = arm.answers()
    rows = []
    for flag, what in HELD_OUT_TEXTS.items():

        def inside(one: Answer, flag: str = flag) -> bool:
            return bool(_truth(arm, one)[flag])

        new, usual, difference = halves(answers, inside)
        if not new:
            rows.append((what, *("-",) * 7))
            continue
        tasks = sorted({task for _, task in new} - {MEAN})
        count = sum(inside(one) for one in answers if one.task in tasks)
        rows.append(
            (
                what, " ".join(tasks), f"{count} / {sum(one.task in tasks for one in answers) - count}",
                text(new[SCORE, MEAN]), text(usual[SCORE, MEAN]), text(new[GAP, MEAN]), text(usual[GAP, MEAN]),
                text(difference[GAP, MEAN], "+"),
            )
        )  # fmt: skip
    headings = (
        "slice", "tasks", "questions in / out", "score in", "score out", "gap closed in", "gap closed out",
        "difference of gaps",
    )  # fmt: skip
    return [
        f"## Held-out paraphrases ({arm.name})", "", *pipe_table(headings, rows), "",
        "Test people's questions; their histories hold such texts on both sides. A slice is of the tasks that have "
        "questions on both sides.",
    ]  # fmt: skip


def _truth(arm: Arm, answer: Answer) -> Mapping:
    truth = arm.records[answer.key].truth
    assert truth is not None, "only simulated people come here"
    return truth
