"""Which runs are replicates of one arm: those that differ in nothing that could change a result, but for the seed."""

import pytest

from tagpr.analysis.runs import find_runs

SIMULATED = {"data": {"size": "smoke", "seed": 0}, "trainer": {"precision": "32-true", "threads": 1}}
LISTED = {"lift": {"row": "rl_guided", "against": "sft"}}
TABLE = {"data": {"path": "/a/reviews.csv", "seed": 0}}


def changed(config, group, **values):
    return {**config, group: {**config.get(group, {}), **values}}


@pytest.mark.parametrize(
    "first, second, alike",
    [
        (SIMULATED, changed(SIMULATED, "data", seed=1), True),  # a world follows the run's seed
        (SIMULATED, changed(SIMULATED, "trainer", threads=2, checkpoint_every=9), True),
        (SIMULATED, changed(SIMULATED, "trainer", precision="bf16-mixed"), False),
        (SIMULATED, changed(SIMULATED, "data", size="small"), False),
        (TABLE, changed(TABLE, "data", path="/b/reviews.csv"), True),  # the same file elsewhere
        (TABLE, changed(TABLE, "data", seed=1), False),  # other people are tested
        (TABLE, changed(TABLE, "data", fold=2), True),
        (changed(SIMULATED, "evaluation", contrasts=LISTED), changed(SIMULATED, "evaluation", contrasts={}), True),
        (changed(SIMULATED, "evaluation", k=1), changed(SIMULATED, "evaluation", k=2), False),
    ],
)
def test_replicates(folders, first, second, alike):
    for seed, config in enumerate((first, second)):
        folders.run({}, seed=seed, config=config)
    one, other = find_runs(folders.root)
    assert (one.arm == other.arm) is alike
