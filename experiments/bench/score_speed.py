"""How long `tagpr-score` takes on 20,000 predictions with 10,000 resamples, and its peak memory.

    python experiments/bench/score_speed.py

Prints one JSON line. Files are generated: 20,000 LaMP_3 and 20,000 LaMP_5 questions with predictions of two systems,
and a questions file that says who asked what. torch is blocked from import in the measured process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NUM_QUESTIONS, NUM_RESAMPLES = 20_000, 10_000
WORDS = 400  # of which titles are made
# Blocked packages fail on import, as they do where they are not installed.
CALL = (
    "import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'pytorch_lightning', 'pandas')));"
    "from tagpr.evaluation.score import main; sys.exit(main(sys.argv[1:]))"
)


def _answer(rng: random.Random, task: str) -> str:
    if task == "LaMP_3":
        return str(rng.randint(1, 5))
    return " ".join(f"word{rng.randrange(WORDS)}" for _ in range(rng.randint(4, 14)))


def _prediction(rng: random.Random, task: str, gold: str) -> str:
    if task == "LaMP_3":
        return rng.choice([gold, gold, str(rng.randint(1, 5)), f"The rating is {gold}.", ""])
    kept = [word for word in gold.split() if rng.random() < 0.6]
    return " ".join([*kept, *_answer(rng, task).split()[:3]])


def write_files(folder: Path, task: str, *, num_people: int, seed: int) -> list[str]:
    """Golds, questions and two systems' predictions in LaMP's own form. Returns the arguments that name them."""
    rng = random.Random(seed)
    golds = [{"id": str(i), "output": _answer(rng, task)} for i in range(NUM_QUESTIONS)]
    questions: list[dict[str, Any]] = []
    for i in range(NUM_QUESTIONS):
        person = i % num_people
        # People are known by what their histories share: each one's entries carry the person's own ids and texts.
        profile = [
            {"id": f"{person}-{k}", "text": f"text {person} {k}", "abstract": f"abstract {person} {k}", "title":
             f"title {person} {k}", "score": "3"}
            for k in range(4)
        ]  # fmt: skip
        questions.append({"id": str(i), "user_id": f"u{person}", "input": f"question {i}", "profile": profile})
    contents: dict[str, Any] = {"golds": {"task": task, "golds": golds}, "questions": questions}
    for name in ("predictions", "vs"):
        answers = [{"id": one["id"], "output": _prediction(rng, task, one["output"])} for one in golds]
        contents[name] = {"task": task, "golds": answers}
    arguments = ["--task", task, "--resamples", str(NUM_RESAMPLES)]
    for name, content in contents.items():
        path = folder / f"{task}_{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        arguments += [f"--{name}", str(path)]
    return arguments


def measure(arguments: list[str]) -> dict[str, Any]:
    """Seconds by the clock and peak memory of one call."""
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", CALL, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode != 0:
        raise SystemExit(f"tagpr-score ended with {process.returncode}: {text[-500:]}")
    people = next(line for line in text.splitlines() if " people (" in line)
    return {"seconds": round(seconds, 2), "peak_mb": round(_megabytes(used)), "people": people.strip()}


def _megabytes(used: resource.struct_rusage) -> float:
    # Linux counts in KiB, macOS in bytes.
    return used.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=NUM_QUESTIONS, help="who ask them (default: each asks one)")
    parser.add_argument("--cores", default="0,1", help="which ones, on Linux (default: %(default)s)")
    arguments = parser.parse_args()
    cores = [int(core) for core in arguments.cores.split(",")]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    result: dict[str, Any] = {
        "bench": "score_speed", "predictions": NUM_QUESTIONS, "resamples": NUM_RESAMPLES, "cores": len(cores),
        "python": platform.python_version(),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for seed, task in enumerate(("LaMP_3", "LaMP_5")):
            given = write_files(Path(folder), task, num_people=arguments.people, seed=seed)
            alone = [part for pair in zip(given[::2], given[1::2], strict=True) if pair[0] != "--vs" for part in pair]
            result[task] = measure(alone)
            result[f"{task}/vs"] = measure(given)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
