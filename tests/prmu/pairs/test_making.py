import numpy as np

from tagpr.prmu.pairs.making import some


def test_tasks_and_people_take_turns(make_record):
    records = [
        make_record(f"{task}-{user}-{i}", user, task=task)
        for task in ("S2", "S3", "S5")
        for user in ("u", "v")
        for i in range(6)
    ]
    chosen = some(records, 6, first=(), generator=np.random.default_rng(0))
    assert sorted((r.task, r.user_id) for r in chosen) == [
        ("S2", "u"), ("S2", "v"), ("S3", "u"), ("S3", "v"), ("S5", "u"), ("S5", "v"),
    ]  # fmt: skip


def test_those_in_n1_come_first(make_record):
    records = [make_record(f"r{i}", "u", task="S2" if i % 2 else "S5") for i in range(20)]
    first = {"r3", "r5", "r8"}
    chosen = some(records, 4, first=first, generator=np.random.default_rng(0))
    assert {r.record_id for r in chosen[:3]} == first
    assert len(chosen) == 4
    assert len(some(records, 99, first=first, generator=np.random.default_rng(0))) == 20
