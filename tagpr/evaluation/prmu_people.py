"""What PRMU's user vectors hold: a map of them, and how well the true logic family can be read out of them."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from tagpr.data.simulated.logic import LOGIC_TASKS
from tagpr.evaluation.prmu_figures import Figure, mean_figure
from tagpr.evaluation.statistics import MIN_PEOPLE, Array
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.prmu.texts import History, user_history
from tagpr.types import Record

FOLDS = 5
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # C of the regression, chosen within the people that a fold is fitted on
PROBES = ("user vector", "bag of words")


@runtime_checkable
class EmbedsUsers(Protocol):
    """An architecture that has a vector per person."""

    def user_vectors(self, encode: FrozenEncoder, users: Sequence[History]) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class PeopleMap:
    """People of one task in the plane of the two directions in which their vectors differ most."""

    task: str
    points: Array  # (people, 2)
    families: tuple[str, ...]  # of each; "" where nobody knows
    explained: float  # share of the vectors' variance


@dataclass(frozen=True, kw_only=True)
class FamilyProbe:
    """Accuracy of reading a person's logic family out of something, people who were not fitted on."""

    task: str
    families: tuple[str, ...]  # told apart: those of at least FOLDS people; chance is one by their number
    accuracy: Mapping[str, Figure]  # one of PROBES -> balanced accuracy
    left_out: int  # people of rarer families


@dataclass(frozen=True, kw_only=True)
class PeopleReport:
    """Filled by `look_at_people`."""

    maps: tuple[PeopleMap, ...]  # a task each
    probes: tuple[FamilyProbe, ...]
    why_not: str  # what is missing, and why; "" where nothing is


def look_at_people(
    model: PrmuModel, records: Sequence[Record], *, max_people: int, encode: FrozenEncoder
) -> PeopleReport:
    """Map and probe per task, one vector per person.

    The probe is a logistic regression on standardised vectors, 5-fold over people; beside it the same on counts of the
    words of the same entries. Balanced accuracy: the mean over families, so that a common one cannot be guessed.
    Families are of the tasks that are decided by logic; the others go by a person's manner.

    Args:
        records: of people whom nothing was trained on.
    """
    arch = model.arch
    if not isinstance(arch, EmbedsUsers):
        return PeopleReport(maps=(), probes=(), why_not="This architecture has no vector per person.")
    by_task: dict[str, dict[str, Record]] = defaultdict(dict)
    for record in records:
        by_task[record.task].setdefault(record.user_id, record)
    maps, probes, missing = [], [], []
    for task, several in sorted(by_task.items()):
        people = list(several.values())[:max_people]
        histories = [user_history(record)[-model.max_entries :] for record in people]
        vectors = arch.user_vectors(encode, histories).cpu().double().numpy()
        families = tuple(
            str((record.truth or {}).get("family", "")) if task in LOGIC_TASKS else "" for record in people
        )
        if len(people) >= 3:
            pca = PCA(n_components=2, svd_solver="full")
            points = pca.fit_transform(vectors)
            explained = float(pca.explained_variance_ratio_.sum())
            maps.append(PeopleMap(task=task, points=points, families=families, explained=explained))
        probe = family_probe(task, vectors, histories, families)
        if probe is not None:
            probes.append(probe)
        else:
            missing.append(task)
    why_not = ""
    if missing:
        why_not = (
            f"No probe for {', '.join(missing)}: it needs a task decided by logic, people whose family is known "
            f"(simulated ones), at least {MIN_PEOPLE}, and two families of at least {FOLDS}."
        )
    return PeopleReport(maps=tuple(maps), probes=tuple(probes), why_not=why_not)


def family_probe(
    task: str, vectors: Array, histories: Sequence[History], families: Sequence[str]
) -> FamilyProbe | None:
    """None where there are too few people or families."""
    counts = Counter(family for family in families if family)
    frequent = sorted(family for family, number in counts.items() if number >= FOLDS)
    rows = [i for i, family in enumerate(families) if family in frequent]
    if len(frequent) < 2 or len(rows) < MIN_PEOPLE:
        return None
    labels = np.array([families[i] for i in rows])
    texts = ["\n".join(f"{entry.context} {entry.response}" for entry in histories[i]) for i in rows]
    folds = StratifiedKFold(n_splits=FOLDS, shuffle=True, random_state=0)
    classify = GridSearchCV(
        LogisticRegression(max_iter=2000, class_weight="balanced"), {"C": STRENGTHS}, cv=3, scoring="balanced_accuracy"
    )
    models = {
        "user vector": (make_pipeline(StandardScaler(), classify), vectors[rows]),
        "bag of words": (make_pipeline(CountVectorizer(token_pattern=r"\S+"), classify), texts),
    }
    weight = np.array([len(rows) / len(frequent) / counts[label] for label in labels])
    accuracy = {}
    for name in PROBES:
        estimator, inputs = models[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of convergence: a probe that stops early is a weaker probe
            said = cross_val_predict(estimator, inputs, labels, cv=folds)
        accuracy[name] = mean_figure((said == labels) * weight, [[str(i) for i in rows]])
    return FamilyProbe(task=task, families=tuple(frequent), accuracy=accuracy, left_out=len(families) - len(rows))
