"""A small world and single records, made by hand where a test needs to know them."""

import pytest

from tagpr.data.simulated.source import SimulatedSource
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Record


def _small_source(kind: type[SimulatedSource] = SimulatedSource, **changes) -> SimulatedSource:
    dials = {
        "size": "smoke",
        "sizes": {"smoke": {"train": 24, "dev": 8, "test": 24}},
        "tasks": ["S2", "S3", "S5"],
        "questions": {"sft": 5, "pairs": 2, "rl": 3, "dev": 4, "test": 2},
        "profile_entries": 6,
        "answers_per_query": 6.0,
        "noise": 0.08,
        "held_out_frames": 0.5,
        "min_gap": 0.15,
    }
    return kind(**(dials | changes))


def _hand_record(task: str, query: str, preferred: str, entries: list[tuple[str, str]], *, noise: float) -> Record:
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
        truth={"noise": noise, "preferred": preferred},
    )


@pytest.fixture(scope="session")
def small_source():
    return _small_source


@pytest.fixture(scope="session")
def hand_record():
    return _hand_record
