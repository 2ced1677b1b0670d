"""What `tagpr-score` finds: the content of its scores.json, and the same as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tagpr.errors import BadInputError
from tagpr.evaluation.leaks import People
from tagpr.evaluation.official import quantities
from tagpr.evaluation.statistics import MIN_PEOPLE, Array
from tagpr.evaluation.uncertainty import LEVEL, bounds, gather, swap_test
from tagpr.tasks import Task


def _metrics(task: Task, answers: Sequence[str], golds: Sequence[str], path: Path) -> dict[str, float]:
    with np.errstate(over="ignore"):
        metrics = task.metrics(answers, golds)
    if not all(math.isfinite(value) for value in metrics.values()):
        wild = max(answers, key=lambda answer: abs(float(answer)) if task.is_valid(answer) else 0.0)
        raise BadInputError(f"{path}: with the answer {wild!r:.60} the metrics are not finite. Is it meant?")
    return metrics


def score_answers(
    task: Task, answers: Sequence[str], lenient: Sequence[str], golds: Sequence[str], path: Path
) -> dict[str, Any]:
    """Metrics of the answers as they stand, and as a forgiving reader finds them."""
    return {
        "predictions": str(path),
        "metrics": _metrics(task, answers, golds, path),
        "lenient_metrics": _metrics(task, lenient, golds, path),
        "parse_failures": sum(not task.is_valid(answer) for answer in answers),
        "lenient_parse_failures": sum(not task.is_valid(answer) for answer in lenient),
    }


def _by_metric(names: Sequence[str], samples: Array | None) -> dict[str, list[float] | None]:
    if samples is None:
        return dict.fromkeys(names)
    low, high = bounds(samples)
    return {name: [float(low[i]), float(high[i])] for i, name in enumerate(names)}


def _lead(
    names: Sequence[str], own: dict[str, float], other: dict[str, float], samples: Array | None, p_values: Array
) -> dict[str, Any]:
    intervals = _by_metric(names, samples)
    return {
        name: {"difference": own[name] - other[name], "interval": intervals[name], "p": float(p_values[i])}
        for i, name in enumerate(names)
    }


def report(
    task: Task,
    *,
    golds: dict[str, str],
    answers: Sequence[str],
    path: Path,
    vs: tuple[Sequence[str], Path] | None,
    people: People,
    num_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The content of scores.json."""
    expected = list(golds.values())
    systems = [(answers, path)] + ([vs] if vs else [])
    read = [(given, [task.lenient(answer) for answer in given]) for given, _ in systems]
    scored = [score_answers(task, *both, expected, path) for both, (_, path) in zip(read, systems, strict=True)]
    # Readings 0 and 1 are the answers as they stand and read leniently; 2 and 3 those of the other system.
    readings = gather(
        task,
        [people.person_of[record_id] for record_id in golds],
        [quantities(task, reading, expected) for both in read for reading in both],
    )
    samples = readings.resampled(num_resamples=num_resamples, seed=seed)
    names = list(scored[0]["metrics"])
    scores = {
        "task": task.name,
        **scored[0],
        "n": len(golds),
        "people": {"n": readings.num_people, "known_by": people.known_by},
        "intervals": _by_metric(names, None if samples is None else samples[:, 0]),
        "lenient_intervals": _by_metric(names, None if samples is None else samples[:, 1]),
        "interval_method": {"level": LEVEL, "unit": "person", "resamples": num_resamples, "seed": seed},
        "why_no_intervals": None
        if samples is not None
        else f"{readings.num_people} people, expected at least {MIN_PEOPLE}: an interval would claim too much",
        "leaks": people.leaks,
    }
    if vs:
        scores["vs"] = scored[1] | {
            prefix + "differences": _lead(
                names,
                scored[0][prefix + "metrics"],
                scored[1][prefix + "metrics"],
                None if samples is None else samples[:, reading] - samples[:, reading + 2],
                swap_test(readings, reading, reading + 2, num_swaps=num_resamples, seed=seed),
            )
            for reading, prefix in enumerate(("", "lenient_"))
        }
    return scores


# --- as text ---------------------------------------------------------------------------------------------------------


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            f"{cell:<{width}}" if i == 0 else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _bracketed(ends: Sequence[float] | None, form: str = ".4f") -> str:
    return "-" if ends is None else f"[{ends[0]:{form}}, {ends[1]:{form}}]"


def table(scores: dict[str, Any]) -> str:
    """The scores as aligned text for a terminal."""
    level = f"{scores['interval_method']['level']:.0%}"
    rows = [(scores["task"], "official", level, "lenient", level)]
    for name, value in scores["metrics"].items():
        rows.append(
            (
                f"{name} (lower is better)" if name in ("mae", "rmse") else name,
                f"{value:.4f}",
                _bracketed(scores["intervals"][name]),
                f"{scores['lenient_metrics'][name]:.4f}",
                _bracketed(scores["lenient_intervals"][name]),
            )
        )
    rows.append(("unparsable", str(scores["parse_failures"]), "", str(scores["lenient_parse_failures"]), ""))
    people = scores["people"]
    parts = [
        _aligned(rows),
        f"{scores['n']:,} questions of {people['n']:,} people ({people['known_by']}).",
    ]
    if scores["why_no_intervals"]:
        parts.append(f"No intervals: {scores['why_no_intervals']}.")
    if "vs" in scores:
        parts += ["", _comparison(scores)]
    if scores["leaks"]:
        parts += ["", _leaks(scores["leaks"])]
    return "\n".join(parts)


def _comparison(scores: dict[str, Any]) -> str:
    other = scores["vs"]
    rows = [("this minus other", "this", "other", "difference", f"{scores['interval_method']['level']:.0%}", "p")]
    for prefix, reading in (("", ""), ("lenient_", " lenient")):
        for name, lead in other[prefix + "differences"].items():
            rows.append(
                (
                    name + reading,
                    f"{scores[prefix + 'metrics'][name]:.4f}",
                    f"{other[prefix + 'metrics'][name]:.4f}",
                    f"{lead['difference']:+.4f}",
                    _bracketed(lead["interval"], "+.4f"),
                    f"{lead['p']:.4f}",
                )
            )
    failures = ("unparsable", str(scores["parse_failures"]), str(other["parse_failures"]), "", "", "")
    return (
        f"{_aligned([*rows, failures])}\nother = {other['predictions']}. p: answers swapped by person, two-sided, not "
        "adjusted for the number of rows."
    )


def _leaks(leaks: dict[str, Any]) -> str:
    lines = [
        f"Leaks: {leaks['people_with_several_questions']:,} of {leaks['people']:,} people ask several questions.",
    ]
    for key, what in (
        ("gold_in_own_profile", "golds stand verbatim in the question's own profile"),
        ("gold_in_sibling_profile", "golds stand in the profile of another question of the same person"),
    ):
        found = leaks[key]
        first = f" (first: {', '.join(found['ids'][:3])})" if found["n"] else ""
        lines.append(f"  {found['n']:,} of {leaks['questions']:,} {what}{first}")
    return "\n".join(lines)
