import pytest

from tagpr.data.simulated.command import compose_source
from tagpr.types import Record


@pytest.fixture(scope="session")
def simulated_records() -> list[Record]:
    source = compose_source(["data.size=smoke", "data.tasks=[S2,S3,S5]"])
    return source.draw(seed=0, advance=lambda people: None)
