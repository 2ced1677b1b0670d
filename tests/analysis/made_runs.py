"""Whole runs made by hand: two tasks or one, three rows, what every stage cost."""

from tagpr import storage


def make_run(folders, questions, *, seed, base, sft, rl, run_name="full", config=None):
    s = str(seed)
    folders.records("r" + s, "simulated")
    folders.stage("chains", "c" + s, counts={"gold_labels": 50}, cpu_seconds=2.0)
    folders.stage("sft", "f" + s, counts={"gold_labels": 40, "steps": 10}, cpu_seconds=30.0)
    folders.stage("pairs", "p" + s, counts={"gold_labels": 20}, cpu_seconds=5.0)
    prmu = folders.stage("prmu", "m" + s, counts={"gold_labels": 18}, cpu_seconds=7.0)
    swap = {"accuracy": 0.52, "lower": 0.48, "met": False}
    storage.write_json(prmu / "gate.json", {"met": False, "swap": swap, "best_of_n": None})
    rl_counts = {"gold_labels": 30, "steps": 8, "prmu_calls": 64, "weight_task": 1.0, "weight_prmu": 0.25}
    folders.stage("rl_guided", "g" + s, counts=rl_counts, cpu_seconds=100.0)
    to_sft = [("records", "r" + s), ("chains", "c" + s), ("sft", "f" + s)]
    to_rl = [*to_sft, ("pairs", "p" + s), ("prmu", "m" + s), ("rl_guided", "g" + s)]
    rows = {}
    for name, policy, stages, answers in (
        ("base", "backbone", [], base),
        ("sft", "sft", to_sft, sft),
        ("rl_guided", "rl_guided", to_rl, rl),
    ):
        evaluations = {}
        for decoding in ("greedy", "sample"):
            evaluations[decoding] = folders.evaluation(
                f"{name}-{decoding}-{run_name}-{s}", questions, answers, records="r" + s, decoding=decoding,
                shown=0 if name == "base" else 3,
            )  # fmt: skip
        rows[name] = (policy, stages, evaluations)
    return folders.run(rows, seed=seed, run_name=run_name, config=config)


def many_people(folders, num):
    return [folders.asked("S2", f"q{i}", f"u{i}", "cosy", "city", "cosy") for i in range(num)]
