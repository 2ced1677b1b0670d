"""PRMU's architectures beside the oracle, the posterior and chance, in Markdown.

python -m experiments.prmu_arches.table FOLDER [FOLDER...] [--entries 16 6] [--pairs 2000] > tables.md
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from experiments.prmu_arches.blind_share import LessAnybody
from experiments.prmu_arches.measure import CHANCE, FIGURES, OVER_RANDOM, OVER_TWIN, SLICES, measure
from experiments.prmu_arches.pool import Seeds, lead, pooled, share_of_the_way
from experiments.prmu_arches.stages import FULL, Trained, World, trained_in, world_of
from experiments.prmu_arches.yardsticks import ORACLE, POPULATION, POSTERIOR, Judges, yardsticks
from tagpr.analysis.panel import Estimate
from tagpr.analysis.text_tables import pipe_table
from tagpr.errors import UserError
from tagpr.evaluation.prmu_figures import Figure
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.reward import RewardReferences, reference_people
from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.prmu.texts import History

ARCHES = ("bilinear", "basis", "agnostic", "history_text", "similarity")  # in the order of the table
MAIN = "bilinear"
YARDSTICKS = (POPULATION, POSTERIOR, ORACLE)
BLIND_SHARES = (0.5, 1.0)  # lambda of RL's reward; the table's other rows are PRMU itself, 0
FROM_POPULATION = "best of n, from the population's pick"
CACHED_TEXTS = 50_000

Found = dict[str, dict[str, dict[str, Figure]]]  # arm -> figure -> seed -> value


def figures_of(trained: Sequence[Trained], world: World, *, entries: int) -> dict[str, dict[str, Figure]]:
    """Arm or yardstick -> its figures where the latest `entries` of each person are read."""
    found: dict[str, dict[str, Figure]] = {}
    shared: Mapping[str, Sequence[History]] = {}
    for one in trained:
        model = PrmuModel.from_pretrained(one.found.model)
        model.max_entries = entries
        named = reference_people(RewardReferences.load(one.found.model).people, world.records)
        shared = {task: [history for _, history in several] for task, several in named.items()}
        encode = FrozenEncoder(model.encoder, capacity=CACHED_TEXTS)
        found[name_of(one)] = measure(Judges(of_pairs=model, of_answers=model), world, shared, encode=encode)
        if name_of(one) == MAIN:
            for share in BLIND_SHARES:
                less = LessAnybody(model, shared, world.records, blind_share=share)
                judges = Judges(of_pairs=less, of_answers=less)
                found[f"{MAIN}, lambda {share:g}"] = measure(judges, world, shared, encode=encode)
    for name, judges in yardsticks(world.records, max_entries=entries).items():
        found[name] = measure(judges, world, shared, encode=None)
    return found


def name_of(trained: Trained) -> str:
    return trained.arch if trained.part == FULL else f"{trained.arch}, {trained.part}"


def page(folders: Sequence[Path], *, entries: Sequence[int], max_pairs: int, jobs: int) -> list[str]:
    """A section per length of history that everybody has."""
    by_seed: dict[str, list[Trained]] = defaultdict(list)
    for folder in folders:
        for one in trained_in(folder):
            by_seed[one.seed].append(one)
    seeds = sorted(by_seed)
    measured = partial(_measured, entries=tuple(entries), max_pairs=max_pairs)
    if jobs == 1:
        worlds = [measured(by_seed[seed]) for seed in seeds]
    else:
        # Spawned, not forked: torch's threads do not survive a fork.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            worlds = list(pool.map(measured, [by_seed[seed] for seed in seeds]))
    longest = min(world.longest for world in worlds)
    if any(min(length, world.longest) != min(length, longest) for world in worlds for length in entries):
        raise UserError(f"everybody has {longest} entries, in some worlds more: give --entries of at most {longest}.")
    lines: list[str] = []
    for length in sorted({min(length, longest) for length in entries}, reverse=True):
        found: Found = defaultdict(lambda: defaultdict(dict))
        for seed, world in zip(seeds, worlds, strict=True):
            for arm, figures in world.figures[length].items():
                for name, figure in figures.items():
                    found[arm][name][seed] = figure
        lines += [f"## The latest {length} entries of each person", "", *section(found), ""]
    return [*lines, *_said(worlds), NOTE]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One world's arms and yardsticks."""

    figures: Mapping[int, dict[str, dict[str, Figure]]]  # entries read -> arm -> its figures
    longest: int  # entries that every judged person has at least
    pairs: int
    people: int
    questions: int
    answers: int  # sampled per question


def _measured(trained: Sequence[Trained], *, entries: Sequence[int], max_pairs: int) -> Measured:
    world = world_of(trained, max_pairs=max_pairs)
    lengths = {min(length, world.longest) for length in entries}
    return Measured(
        figures={length: figures_of(trained, world, entries=length) for length in lengths},
        longest=world.longest,
        pairs=len(world.pairs),
        people=len({pair.user_id for pair in world.pairs}),
        questions=len({sample.record_id for sample in world.samples}),
        answers=world.answers,
    )


def section(found: Found) -> list[str]:
    """Figures, shares of the way and leads."""
    arms = sorted((arm for arm in found if arm not in YARDSTICKS), key=_place)
    rows = [
        (arm, _seeds(found[arm]), *(text(pooled(found[arm][name])) for name in FIGURES)) for arm in (*arms, *YARDSTICKS)
    ]
    rows.append(("chance", "", *(f"{CHANCE[name]:.3f}" if name in CHANCE else "-" for name in FIGURES)))
    lines = pipe_table(("judge", "seeds", *FIGURES), rows)
    ways = [name for name in CHANCE if name != OVER_TWIN]
    shares = [
        (
            arm,
            *(text(share_of_the_way(found[arm][n], found[POSTERIOR][n], chance=CHANCE[n])) for n in ways),
            text(
                share_of_the_way(
                    found[arm][OVER_RANDOM], found[POSTERIOR][OVER_RANDOM], chance=found[POPULATION][OVER_RANDOM]
                )
            ),
        )
        for arm in arms
    ]
    lines += [
        "",
        "Share of the way from chance to the posterior:",
        "",
        *pipe_table(("judge", *ways, FROM_POPULATION), shares),
    ]
    majority = [(arm, *(text(pooled(found[arm][name])) for name in SLICES)) for arm in (*arms, *YARDSTICKS)]
    lines += ["", "By what most people answer:", "", *pipe_table(("judge", *SLICES), majority)]
    others = [arm for arm in arms if arm != MAIN]
    if MAIN in found and others:
        leads = [(f"{MAIN} - {arm}", *(_lead(found[MAIN][n], found[arm][n]) for n in FIGURES)) for arm in others]
        lines += ["", "Differences, paired by seed:", "", *pipe_table(("difference", *FIGURES), leads)]
    return lines


def _lead(one: Seeds, other: Seeds) -> str:
    return text(lead(one, other), "+")


def _place(arm: str) -> tuple[int, str]:
    arch = arm.partition(",")[0]
    return (ARCHES.index(arch) if arch in ARCHES else len(ARCHES), arm)


def _seeds(figures: Mapping[str, Seeds]) -> str:
    return str(len(next(iter(figures.values()))))


def _said(worlds: Sequence[Measured]) -> list[str]:
    pairs, people, questions = (sum(getattr(one, name) for one in worlds) for name in ("pairs", "people", "questions"))
    drawn = sorted({world.answers for world in worlds})
    return [
        f"{len(worlds)} world{'' if len(worlds) == 1 else 's'}: {pairs} pairs of {people} dev people; n = "
        f"{', '.join(map(str, drawn))} answers of the SFT policy to each of {questions} questions.",
        "",
    ]


NOTE = (
    "All on dev people, on whom nothing was trained; of PRMU's validated weights those were kept that picked best "
    "among these people's answers. In brackets 95 %: over people where there is one seed, which says nothing of "
    "another training run or world; over seeds, a world and its people each, where there are several. Share of the "
    "way, differences and ECE have none with one seed. Posterior and oracle: for pairs, whose answer it is; for the "
    "best of n, the score that it may expect."
)


def text(one: Estimate | None, sign: str = "") -> str:
    """Three decimals and the interval."""
    if one is None or one.value != one.value:
        return "-"
    said = f"{one.value:{sign}.3f}"
    return said if one.low is None or one.high is None else f"{said} [{one.low:{sign}.3f}, {one.high:{sign}.3f}]"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="where run.sh put the runs; or folders of prmu stages")
    parser.add_argument("--entries", type=int, nargs="+", default=[16, 6], help="lengths of history that are read")
    parser.add_argument("--pairs", type=int, default=2000, help="most pairs judged per seed")
    parser.add_argument("--jobs", type=int, default=1, help="seeds measured at a time; 2 GB and a thread or more each")
    asked = parser.parse_args()
    try:
        print("\n".join(page(asked.folders, entries=asked.entries, max_pairs=asked.pairs, jobs=asked.jobs)))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
