"""Where pairs went: asked, made, kept and dropped by type and split, as figures and as a page to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tagpr.prmu.pairs.base import MIX_KEYS, Made
from tagpr.types import PreferencePair


@dataclass(frozen=True, kw_only=True)
class Account:
    """One type in one split. Filled by `account`."""

    asked: int  # its share of the total, by pairs.mix
    made: int  # kept + dropped
    kept: int
    dropped: Mapping[str, int]  # reason -> pairs; a question that gave none counts once


def account(asked: int, made: Made, kept: Sequence[PreferencePair]) -> Account:
    """What is beyond the quota is dropped last, after duplicates."""
    dropped = Counter(made.dropped)
    if made.num_pairs > len(kept):
        dropped["quota"] += made.num_pairs - len(kept)
    return Account(
        asked=asked,
        made=made.num_pairs + sum(made.dropped.values()),
        kept=len(kept),
        dropped=dict(sorted(dropped.items())),
    )


def length_balance(pairs: Sequence[PreferencePair], *, length: Callable[[str], int]) -> dict[str, dict[str, float]]:
    """Type -> mean length of either side, and the share of pairs whose chosen side is the longer one (ties 1/2)."""
    balance = {}
    for kind in MIX_KEYS:
        sides = [(length(p.chosen), length(p.rejected)) for p in pairs if p.negative_type == kind]
        if sides:
            balance[kind] = {
                "chosen": fmean(chosen for chosen, _ in sides),
                "rejected": fmean(rejected for _, rejected in sides),
                "chosen_longer": fmean((chosen > rejected) + 0.5 * (chosen == rejected) for chosen, rejected in sides),
            }
    return balance


def accounts_as_counts(accounts: Mapping[str, Mapping[str, Account]]) -> dict[str, int]:
    """For the manifest: `<split>_<type>` kept, and `asked_`, `made_`, `dropped_..._<reason>` of it; zeros left out."""
    counts: dict[str, int] = {}
    for split, by_type in accounts.items():
        for kind, one in by_type.items():
            counts[f"{split}_{kind}"] = one.kept
            counts[f"asked_{split}_{kind}"] = one.asked
            counts[f"made_{split}_{kind}"] = one.made
            counts |= {f"dropped_{split}_{kind}_{reason}": number for reason, number in one.dropped.items()}
    return {name: number for name, number in counts.items() if number}


def write_page(report: Mapping[str, Any]) -> str:
    """pairs.md of what pairs.json holds."""
    lines = ["# Preference pairs", ""]
    for split, by_type in report["accounts"].items():
        lines += [f"## {split}", "", "| type | asked | made | kept | dropped |", "|---|---|---|---|---|"]
        for kind, one in by_type.items():
            why = ", ".join(f"{reason} {number}" for reason, number in one["dropped"].items()) or "-"
            lines.append(f"| {kind} | {one['asked']} | {one['made']} | {one['kept']} | {why} |")
        lines += ["", "| type | tokens chosen | rejected | chosen is longer |", "|---|---|---|---|"]
        lines += [
            f"| {kind} | {one['chosen']:.1f} | {one['rejected']:.1f} | {one['chosen_longer']:.3f} |"
            for kind, one in report["lengths"][split].items()
        ]
        kinds = [f"{name} {number}" for name, number in report["kinds"][split].items()]
        lines += ["", f"Edits of N5 and cues of N6: {', '.join(kinds) or 'none'}.", ""]
    prompts = ", ".join(f"{name} {number}" for name, number in report["prompts"].items())
    lines += [
        f"Questions that the policy answered, by split and history: {prompts or 'none'}.",
        f"Distinct gold labels of train people that were looked at: {report['gold_labels']}.",
        "",
        "asked: the type's share of the total, by pairs.mix. dropped: agreement, the other answer is as good; "
        "no_mirror, not the better one for the other person; length, sides differ too much; unreadable, no answer that "
        "the task can read; margin, a user-blind model tells; no_edit and no_cue, nothing that is surely worse or new; "
        "duplicates; quota, more than asked. A question that gave no pair counts once.",
        "",
        "## Shortcuts",
        "",
        *_shortcut_table(report["shortcuts"]),
        "",
    ]
    return "\n".join(lines)


def _shortcut_table(report: Mapping[str, Any]) -> list[str]:
    kinds = list(report["questions"])
    lines = [
        "Accuracy on dev pairs of models that do not weigh the person, fitted on train pairs of the type; limit "
        f"{report['limit']} on N1 and N2. history_overlap does see the person: it is how far plain repetition gets, "
        "and PRMU has to get further.",
        "",
        f"| model | {' | '.join(kinds)} |",
        f"|---|{'---|' * len(kinds)}",
        *(
            f"| {name} | {' | '.join(f'{by_type[kind]:.3f}' for kind in kinds)} |"
            for name, by_type in report["accuracy"].items()
        ),
        f"| dev questions | {' | '.join(str(report['questions'][kind]) for kind in kinds)} |",
    ]
    found = [f"- {line}" for line in report["exceeded"]] + [
        f"- {line}: too few to tell from chance" for line in report["too_few_to_tell"]
    ]
    return [*lines, "", *(found or ["None is above the limit."])]
