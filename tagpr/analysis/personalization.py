"""Is it personal? Gain and Specificity of the rows whose histories were swapped, as a table and a warning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tagpr.analysis.comparison import ComparedRow, Comparison
from tagpr.analysis.panel import NUM_RESAMPLES, RESAMPLING_SEED
from tagpr.analysis.runs import Artifact
from tagpr.evaluation.specificity import MEAN, Figure, Personal, SwappedAnswer, specificity
from tagpr.evaluation.swap import CONDITIONS, NEAREST
from tagpr.storage import read_json, read_parquet

SWAP = "swap"
HEADINGS = (
    "row", "task", "people", "own", "nearest other", "random other", "none", "shuffled", "Gain [95 %]",
    "Specificity [95 %]", "own - random [95 %]", "own - shuffled [95 %]", "Bayes Specificity", "share of Bayes [95 %]",
    "for the other: own history", "for the other: theirs",
)  # fmt: skip
SHORT_HEADINGS = ("row", "own", "nearest", "none", "Gain [95 %]", "Specificity [95 %]", "Bayes", "share [95 %]")


@dataclass(frozen=True, kw_only=True)
class SwappedRow:
    """A row under other histories, over its replicates."""

    name: str
    personal: Mapping[str, Personal]  # task, or "mean" over tasks -> figures
    matched: Mapping[str, float]  # nearest, random -> share of histories with the size of the own one
    from_rule: float | None  # share of the other's answers that were never given: a rule's; None: none is known
    without_history: int  # questions whose prompts show none, left out


def swapped_rows(comparison: Comparison) -> list[SwappedRow]:
    """The rows that were diagnosed in some replicate."""
    rows = ((row, stages_of(row, SWAP)) for row in comparison.rows)
    return [_row(row, stages, nested=comparison.simulated) for row, stages in rows if stages]


def stages_of(row: ComparedRow, kind: str) -> dict[int, Artifact]:
    """Seed -> the diagnosis of that kind."""
    return {seed: own.diagnostics[kind] for seed, own in row.by_seed.items() if kind in own.diagnostics}


def _row(row: ComparedRow, stages: Mapping[int, Artifact], *, nested: bool) -> SwappedRow:
    def answers() -> Iterator[tuple[int, SwappedAnswer]]:
        for seed, stage in stages.items():
            for one in read_parquet(stage.folder / "swap.parquet"):
                yield seed, SwappedAnswer(**one)

    summaries = [read_json(stage.folder / "swap.json") for stage in stages.values()]
    counts = {name: [one["matching"][name] for one in summaries] for name in summaries[0]["matching"]}
    source = {name: sum(one["other_answer_from"][name] for one in summaries) for name in ("gold", "rule")}
    return SwappedRow(
        name=row.name,
        personal=specificity(answers(), nested=nested, num_resamples=NUM_RESAMPLES, seed=RESAMPLING_SEED),
        matched={
            name: sum(one["exact"] for one in each) / sum(one["exact"] + one["closest"] for one in each)
            for name, each in counts.items()
        },
        from_rule=source["rule"] / sum(source.values()) if any(source.values()) else None,
        without_history=sum(one["without_history"] for one in summaries),
    )


def cells(row: SwappedRow) -> list[tuple[str, ...]]:
    """A line per task and one for the mean, as HEADINGS says."""
    return [
        (
            row.name, task, str(one.people), *(_plain(one, condition) for condition in CONDITIONS),
            *(_signed(one, name) for name in ("gain", "specificity", "own_minus_random", "own_minus_shuffled")),
            _plain(one, "bayes_specificity"), _spanned(one, "share", ".2f"), _plain(one, "on_other_own"),
            _plain(one, "on_other_nearest"),
        )
        for task, one in row.personal.items()
    ]  # fmt: skip


def short_cells(row: SwappedRow) -> tuple[str, ...]:
    """The mean over tasks, as SHORT_HEADINGS says."""
    one = row.personal[MEAN]
    return (
        row.name, *(_plain(one, condition) for condition in ("own", NEAREST, "none")), _signed(one, "gain"),
        _signed(one, "specificity"), _plain(one, "bayes_specificity"), _spanned(one, "share", ".2f"),
    )  # fmt: skip


def _plain(one: Personal, name: str) -> str:
    return f"{one.figures[name].value:.3f}" if name in one.figures else "-"


def _signed(one: Personal, name: str) -> str:
    return _spanned(one, name, "+.3f")


def _spanned(one: Personal, name: str, form: str) -> str:
    figure: Figure | None = one.figures.get(name)
    if figure is None:
        return "-"
    if figure.low is None or figure.high is None:
        return format(figure.value, form)
    return f"{figure.value:{form}} [{figure.low:{form}}, {figure.high:{form}}]"


def csv_rows(row: SwappedRow) -> Iterator[dict[str, str | float]]:
    """Every figure with its interval, a line per task."""
    for task, one in row.personal.items():
        line: dict[str, str | float] = {
            "row": row.name, "task": task, "people": one.people, "questions": one.questions,
            "formatting_only": str(one.formatting_only).lower(),
        }  # fmt: skip
        for name, figure in one.figures.items():
            named = {name: figure.value, f"{name}/low": figure.low, f"{name}/high": figure.high}
            line |= {key: value for key, value in named.items() if value is not None}
        yield line


def formatting_warnings(rows: list[SwappedRow]) -> list[str]:
    """Rows that gain from a history, whoever's it is."""
    named = []
    for row in rows:
        tasks = [task for task, one in row.personal.items() if one.formatting_only]
        if tasks:
            named.append(row.name if MEAN in tasks else f"{row.name} on {', '.join(tasks)}")
    if not named:
        return []
    return [
        f"Few-shot formatting, not personalization: {'; '.join(named)} (the Gain's interval is above 0, the "
        "Specificity's is not: another person's history helps as much)."
    ]


def definitions(rows: list[SwappedRow]) -> list[str]:
    """What the columns mean, and how well the histories matched."""
    lines = [
        "Greedy scores of the same questions with different histories; all else in the prompt is the same. own: the "
        "person's; nearest other: that of the test person whose inputs are nearest in topic to the question and to "
        "the person's own (TF-IDF); random other: of any; none: the question without history; shuffled: the own "
        "inputs, each with the response of another entry. Others' entries are retrieved by the run's own retriever.",
        "Gain = own - none. **Specificity = own - nearest other**: what the person's own history is worth beyond a "
        "history. Intervals as above. Gain without Specificity is few-shot formatting, not personalization; and a "
        "policy that was never trained without history may be helpless there, which makes its Gain large.",
    ]
    if any("bayes_specificity" in one.figures for row in rows for one in row.personal.values()):
        lines.append(
            "Bayes Specificity: that of the observer who reads the same histories; share = Specificity / Bayes "
            "Specificity, a ratio of means. Simulated tags and titles tell a person's rule by the responses alone, so "
            "that exchanging them costs little there; scores (S3) need inputs and responses together."
        )
    known = [row for row in rows if row.from_rule is not None]
    if known:
        lines.append(
            "For the other: the same answers scored on what the nearest other says to the question, given the own and "
            "given their history: a model that reads the person follows the history. What they say is their gold "
            f"where they were asked the same question; else ({_shares(known)}) the other's preferred answer, which a "
            "simulated person's rule gives."
        )
    for row in rows:
        parts = ", ".join(f"{name} other {share:.1%}" for name, share in row.matched.items())
        left_out = f"; {row.without_history} questions without history left out" if row.without_history else ""
        lines.append(
            f"{row.name}: histories of others with the own one's size (entries and length): {parts}{left_out}."
        )
    return lines


def _shares(rows: list[SwappedRow]) -> str:
    return ", ".join(f"{row.from_rule:.0%} for {row.name}" for row in rows)
