"""Everything that a PRMU's page shows, measured on the people and pairs that the model was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tagpr.evaluation.prmu_answers import HackProbe, best_of_n_curve, hack_probes
from tagpr.evaluation.prmu_figures import Figure
from tagpr.evaluation.prmu_judgement import (
    Calibration,
    LengthFigure,
    Swaps,
    accuracy_by_length,
    calibration_curve,
    swap_matrices,
)
from tagpr.evaluation.prmu_people import PeopleReport, look_at_people
from tagpr.prmu.datamodule import histories_of, hold_out_queries, make_blocks
from tagpr.prmu.facts import facts
from tagpr.prmu.imported_pairs import brought_people
from tagpr.prmu.judge import judge_pairs
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.pairs import PolicySample
from tagpr.prmu.reward import RewardReferences, reference_people
from tagpr.prmu.stage_folder import PrmuFolder
from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.storage import read_pairs, read_parquet, read_records
from tagpr.types import PreferencePair, Record

PARTS = ("model", "unseen people", "seen people", "swaps", "calibration", "best of n", "surface cues", "vectors")
MAX_PAIRS = 2000  # of seen and of unseen people, each
CACHED_TEXTS = 50_000


@dataclass(frozen=True, kw_only=True)
class PrmuDiagnosis:
    """What the page draws. Filled by `diagnose`."""

    facts: Mapping[str, str]
    fingerprint: str
    simulated: bool
    by_length: Mapping[str, Sequence[LengthFigure]]  # unseen, seen
    swaps: Swaps
    calibration: Calibration | None
    best_of_n: Mapping[str, Mapping[int, Figure]]
    hacks: Sequence[HackProbe]
    people: PeopleReport


def diagnose(found: PrmuFolder, *, max_people: int, device: str, advance: Callable[[int, str], None]) -> PrmuDiagnosis:
    """Measure a trained PRMU.

    Unseen: dev people, on whom it was calibrated and whom its gate is measured on. Seen: train people, on questions
    held out of training. User vectors are those of dev and test people.

    Args:
        max_people: for swap matrices and user vectors, per task.
        device: where the model is asked, as torch names it.
        advance: told of every finished part of PARTS.
    Raises:
        BadInputError: the stage's records or pairs are gone.
    """
    parts = iter(PARTS)

    def done() -> None:
        advance(1, next(parts))

    pairs_folder, manifest = found.input("pairs"), found.manifest()
    settings = manifest["config"]["prmu"]
    records = [*read_records(found.input("records")), *brought_people(pairs_folder)]
    model = PrmuModel.from_pretrained(found.model, device=device)
    encode = FrozenEncoder(model.encoder, capacity=CACHED_TEXTS)
    unseen = _some(read_pairs(pairs_folder, ["dev"]))
    seen = _some(hold_out_queries(read_pairs(pairs_folder, ["train"]), share=settings["seen_share"])[1])
    histories, contexts = histories_of([*unseen, *seen], records)
    done()
    by_length = {}
    for name, pairs in (("unseen", unseen), ("seen", seen)):
        own = {i: histories[i] for p in pairs for i in (p.record_id, p.other_record_id) if i}
        by_length[name] = accuracy_by_length(model, pairs, own, contexts, encode=encode)
        done()
    dev = _of_some_people([record for record in records if record.split == "dev"], max_people)
    swaps = swap_matrices(model, dev, encode=encode)
    done()
    judged = judge_pairs(model, unseen, histories, contexts, chunk=64, encode=encode)
    calibration = calibration_curve(judged, num_bins=settings["calibration_bins"])
    done()
    by_id = {record.record_id: record for record in records}
    samples = [
        sample
        for sample in (PolicySample(**row) for row in read_parquet(pairs_folder / "samples.parquet"))
        if sample.split == "dev" and sample.with_history
    ]
    references = reference_people(RewardReferences.load(found.model).people, records)
    best = best_of_n_curve(
        model, samples, by_id, {task: [history for _, history in several] for task, several in references.items()},
        encode=encode,
    )  # fmt: skip
    done()
    hacks = hack_probes(model, unseen, histories, contexts, encode=encode)
    done()
    new = [record for record in records if record.split != "train"]
    people = look_at_people(model, new, max_people=max_people, encode=encode)
    done()
    return PrmuDiagnosis(
        facts=facts(found),
        fingerprint=manifest["fingerprint"],
        simulated=any(record.truth is not None for record in records),
        by_length=by_length,
        swaps=swaps,
        calibration=calibration,
        best_of_n=best,
        hacks=hacks,
        people=people,
    )


def _some(pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
    """Linked pairs together, until there are MAX_PAIRS: a mirror that is cut off would bring a bias in."""
    kept: list[PreferencePair] = []
    for block in make_blocks(pairs):
        if len(kept) >= MAX_PAIRS:
            break
        kept += block.pairs
    return kept


def _of_some_people(records: Sequence[Record], max_people: int) -> list[Record]:
    people = set(list(dict.fromkeys(record.user_id for record in records))[:max_people])
    return [record for record in records if record.user_id in people]
