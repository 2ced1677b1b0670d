"""The figures of one judge in one world, by the functions that PRMU's stage and diagnosis page use."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import cast

from experiments.prmu_arches.stages import World
from experiments.prmu_arches.yardsticks import Judges, likelier_of_anybody
from tagpr.evaluation.prmu_answers import hack_probes
from tagpr.evaluation.prmu_figures import Figure, mean_figure
from tagpr.evaluation.prmu_judgement import calibration_curve
from tagpr.prmu.judge import JudgedPairs, best_of_n, judge_pairs, swap_wins
from tagpr.prmu.loss import win_share
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.pairs import N1
from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.prmu.texts import History
from tagpr.types import PreferencePair

AGREEING, DISAGREEING = "N1, the person answers as most do", "N1, the other one does"
ACCURACY, SWAP, OVER_RANDOM, OVER_TWIN, HACKED, ECE, ECE_BY_LUCK = (
    "N1 accuracy", "swap accuracy", "best of n over random", "best of n over its twin", "hack rate", "ECE",
    "ECE by luck alone",
)  # fmt: skip
SLICES = (AGREEING, DISAGREEING)
FIGURES = (ACCURACY, SWAP, OVER_RANDOM, OVER_TWIN, HACKED, ECE, ECE_BY_LUCK)
# What a judge who knows nothing of the person has; the way to the posterior begins there.
CHANCE = {ACCURACY: 0.5, SWAP: 0.5, OVER_RANDOM: 0.0, OVER_TWIN: 0.0}

CHUNK = 64  # pairs judged together
SAME = 1e-9  # in nats: as frequent as each other


def measure(
    judges: Judges,
    world: World,
    references: Mapping[str, Sequence[History]],
    *,
    encode: FrozenEncoder | None,
) -> dict[str, Figure]:
    """Figure -> value with its interval over people (two of them at a swap); of ECE there is none.

    Best of n: the answer that the judge likes best of all that were sampled for a question; its twin is the mean over
    reference people, the same judge knowing nobody. Hack rate: share of pairs ranked rightly that a cue turns round,
    all cues of `hack_probes` together.

    Args:
        references: task -> histories of train people.
        encode: None for judges that read no text with a model.
    """
    # The evaluation knows PRMU by its class; it calls `score`, `max_entries` and `temperature` alone.
    of_pairs, of_answers = cast(PrmuModel, judges.of_pairs), cast(PrmuModel, judges.of_answers)
    frozen = cast(FrozenEncoder, encode)
    histories, contexts = world.texts
    judged = judge_pairs(of_pairs, world.pairs, histories, contexts, chunk=CHUNK, encode=frozen)
    swaps, one, other = swap_wins(judged)
    best = best_of_n(of_answers, world.samples, world.by_id, references, encode=frozen)
    calibration = calibration_curve(judged, num_bins=world.num_bins)
    errors = (calibration.ece, calibration.ece_if_calibrated) if calibration else (math.nan, math.nan)
    people = len({pair.user_id for pair in world.pairs})
    return {
        ACCURACY: accuracy(judged, world.pairs),
        SWAP: mean_figure(swaps.tolist(), [one, other]),
        OVER_RANDOM: mean_figure((best.picked - best.random).tolist(), [best.users]),
        OVER_TWIN: mean_figure((best.picked - best.blind).tolist(), [best.users]),
        HACKED: hack_rate(of_pairs, world.pairs, histories, contexts, encode=frozen),
        **slices(judged, world),
        **{
            name: Figure(value=error, interval=None, count=len(world.pairs), people=people)
            for name, error in zip((ECE, ECE_BY_LUCK), errors, strict=True)
        },
    }


def accuracy(judged: JudgedPairs, pairs: Sequence[PreferencePair]) -> Figure:
    """Win share on N1."""
    own = [place for place, pair in enumerate(pairs) if pair.negative_type == N1]
    return mean_figure(win_share(judged.margins)[own].tolist(), [[pairs[place].user_id for place in own]])


def slices(judged: JudgedPairs, world: World) -> dict[str, Figure]:
    """N1 accuracy where the population gives the chosen answer more often than the rejected one, and less often.

    A judge who knows no person and the population by heart is at 1 and 0; equally frequent answers are in neither.
    """
    wins = win_share(judged.margins).tolist()
    found: dict[str, list[int]] = {name: [] for name in SLICES}
    for place, pair in enumerate(judged.pairs):
        if pair.negative_type == N1:
            leaning = likelier_of_anybody(world.by_id[pair.record_id], pair.chosen, pair.rejected)
            if abs(leaning) > SAME:
                found[AGREEING if leaning > 0 else DISAGREEING].append(place)
    return {
        name: mean_figure([wins[place] for place in own], [[judged.pairs[place].user_id for place in own]])
        for name, own in found.items()
    }


def hack_rate(
    judge: PrmuModel,
    pairs: Sequence[PreferencePair],
    histories: Mapping[str, History],
    contexts: Mapping[str, str],
    *,
    encode: FrozenEncoder,
) -> Figure:
    """Share of rightly ranked pairs that some cue turns round, over all cues, labels and texts alike."""
    by_person: dict[str, list[PreferencePair]] = defaultdict(list)
    for pair in pairs:
        by_person[pair.user_id].append(pair)
    values: list[float] = []
    people: list[str] = []
    for person, own in by_person.items():
        for probe in hack_probes(judge, own, histories, contexts, encode=encode):
            # As many values as were counted, of the same mean: the interval draws people, not pairs.
            values += [probe.hacked.value] * probe.hacked.count
            people += [person] * probe.hacked.count
    return mean_figure(values, [people])
