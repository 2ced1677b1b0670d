import pytest

from tagpr.data.simulated.source import SimulatedSource
from tagpr.types import Record


@pytest.fixture(scope="session")
def simulated_records() -> list[Record]:
    source = SimulatedSource(
        size="tiny", sizes={"tiny": {"train": 24, "dev": 8, "test": 24}}, tasks=["S2", "S3", "S5"],
        questions={"sft": 5, "pairs": 2, "rl": 3, "dev": 4, "test": 2}, profile_entries=6, answers_per_query=6.0,
        noise=0.08, held_out_frames=0.5, min_gap=0.05,
    )  # fmt: skip
    return source.records(seed=0)
