"""Small worlds, and single records made by hand where a test needs to know them."""

from collections.abc import Callable

import pytest

from tagpr.data.simulated.logic import FAMILIES
from tagpr.data.simulated.source import SimulatedSource
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Record

BOUNDS = {
    "min_gap": 0.15,
    "vote_gap": 0.08,
    "blind_slack": 0.02,
    "calibration": 0.02,
    "weather": 0.06,
    "length": 0.1,
    "position": 0.03,
    "sampling_errors": 3.0,
}


def _make_source(kind: type[SimulatedSource] = SimulatedSource, **changes) -> SimulatedSource:
    size = {
        "train": 24,
        "dev": 8,
        "test": 24,
        "tasks": ["S1", "S2", "S3", "S4", "S5", "S7"],
        "families": list(FAMILIES),
        "profile_entries": 6,
    }
    size |= {name: changes.pop(name) for name in ("train", "dev", "test") if name in changes}
    dials = {
        "size": "tiny",
        "sizes": {"tiny": size},
        "tasks": None,
        "families": None,
        "held_out_family": None,
        "profile_entries": None,
        "questions": {"sft": 5, "pairs": 2, "rl": 3, "dev": 4, "test": 2},
        "answers_per_query": 6.0,
        "noise": 0.08,
        "held_out_frames": 0.5,
        "held_out_words": 0.3,
        "all_mentioned": 0.6,
        "min_decoys": 2,
        "max_decoys": 4,
        "weather_strength": 0.5,
        "gates": {"tiny": BOUNDS},
    }
    return kind(**(dials | changes))


def _draw(source: SimulatedSource, seed: int) -> list[Record]:
    return source.draw(seed=seed, advance=lambda people: None)


def _hand_record(
    task: str,
    query: str,
    preferred: str,
    entries: list[tuple[str, str]],
    *,
    noise: float,
    families: tuple[str, ...] = FAMILIES,
) -> Record:
    return Record(
        record_id=f"{task}-hand",
        user_id="u9999",
        task=task,
        split="test",
        purpose="test",
        question=ALL_TASKS[task].write_question(query),
        query=query,
        gold=preferred,
        profile=tuple(
            ProfileEntry(entry_id=f"p{index}", input=text, response=answer)
            for index, (text, answer) in enumerate(entries)
        ),
        retrieved=(),
        truth={"noise": noise, "families": list(families), "preferred": preferred},
    )


@pytest.fixture(scope="session")
def make_source() -> Callable[..., SimulatedSource]:
    return _make_source


@pytest.fixture(scope="session")
def draw() -> Callable[[SimulatedSource, int], list[Record]]:
    return _draw


@pytest.fixture(scope="session")
def hand_record() -> Callable[..., Record]:
    return _hand_record


@pytest.fixture(scope="session")
def world() -> list[Record]:
    """All tasks and families, and one family that test people alone have."""
    return _draw(_make_source(train=40, dev=20, test=100, held_out_family="contrarian"), 5)
