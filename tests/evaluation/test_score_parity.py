"""The whole of `tagpr-score` against the official evaluator's behaviour written a second time, from its description."""

import json
import math
import random

import pytest
from rouge_score.rouge_scorer import RougeScorer

from tagpr.evaluation.score import main
from tagpr.tasks import ALL_TASKS

N = 2000
LAMP = [name for name in ALL_TASKS if name.startswith("LaMP")]
WORDS = ["the", "The", "cat", "sat.", "dog's", "x-y", "naïve", "42", "don't", "a", "A", "!", "é", "snake_case", "İ"]


def label_answer(rng, gold, labels):
    other = rng.choice(labels)
    return rng.choice(
        [gold, gold, f" {gold}\n", other, gold.upper(), f"{gold}.", f"The answer is {gold}", "", "   ",
         gold.strip("[]"), f"{gold}, {other}", "none of these"]
    )  # fmt: skip


def rating_answer(rng, gold):
    return rng.choice(
        [gold, gold, f" {gold} ", "4.5", "7", "-2", "1e1", "0", "3.0", "four", "", "5 stars", "[3]", "+2", "1_0", "2,5",
         int(gold), 2.25]
    )  # fmt: skip


def text_answer(rng, gold):
    words = gold.split()
    rng.shuffle(words)
    return rng.choice(
        [gold, f"  {gold} ", gold.upper(), " ".join(words[: rng.randint(0, 9)]), "", "...", f"Title: {gold}",
         " ".join(rng.choices(WORDS, k=rng.randint(1, 12)))]
    )  # fmt: skip


def generated(task, rng):
    golds, answers = [], []
    for _ in range(N):
        if task.kind == "text":
            gold = " ".join(rng.choices(WORDS, k=rng.randint(2, 12)))
            golds.append(gold)
            answers.append(text_answer(rng, gold))
        else:
            # The last label is never a gold: macro-F1 counts it all the same.
            gold = rng.choice(task.labels[:-1] if len(task.labels) > 2 else task.labels)
            golds.append(gold)
            answers.append(rating_answer(rng, gold) if task.kind == "rating" else label_answer(rng, gold, task.labels))
    return golds, answers


def official_labels(answers, golds, labels):
    index = {label: i for i, label in enumerate(labels)}
    predicted = [index.get(answer.strip(), -1) for answer in answers]
    expected = [index[gold] for gold in golds]
    f1 = []
    for c in range(len(labels)):
        true_positive = sum(p == c and g == c for p, g in zip(predicted, expected, strict=True))
        precision = true_positive / predicted.count(c) if c in predicted else 0.0
        recall = true_positive / expected.count(c) if c in expected else 0.0
        f1.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    accuracy = sum(p == g for p, g in zip(predicted, expected, strict=True)) / len(golds)
    return {"accuracy": accuracy, "f1": sum(f1) / len(f1)}


def official_ratings(answers, golds):
    errors = []
    for answer, gold in zip(answers, map(float, golds), strict=True):
        try:
            value = float(answer)
        except ValueError:
            value = 1.0 if abs(1 - gold) > abs(5 - gold) else 5.0
        errors.append(value - gold)
    return {
        "mae": sum(map(abs, errors)) / len(errors),
        "rmse": math.sqrt(sum(error**2 for error in errors) / len(errors)),
    }


def official_texts(answers, golds):
    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
    scores = [scorer.score(gold.strip(), answer.strip()) for answer, gold in zip(answers, golds, strict=True)]
    return {
        "rouge-1": sum(s["rouge1"].fmeasure for s in scores) / N,
        "rouge-L": sum(s["rougeL"].fmeasure for s in scores) / N,
    }


@pytest.mark.parametrize("name", LAMP)
def test_metrics_are_the_official_evaluators(tmp_path, name):
    task, rng = ALL_TASKS[name], random.Random(name)
    golds, answers = generated(task, rng)
    ids = [str(i) for i in range(N)]
    in_file = "LaMP_2" if name == "LaMP_2N" else name
    for file, outputs in (("g.json", golds), ("p.json", answers)):
        items = [{"id": i, "output": o} for i, o in zip(ids, outputs, strict=True)]
        rng.shuffle(items)
        (tmp_path / file).write_text(json.dumps({"task": in_file, "golds": items}), encoding="utf-8")
    out = tmp_path / "scores.json"
    command = ["--task", name, "--predictions", str(tmp_path / "p.json"), "--golds", str(tmp_path / "g.json")]
    assert main([*command, "--out", str(out), "--resamples", "20"]) == 0
    scores = json.loads(out.read_text())
    if task.kind == "label":
        expected = official_labels(answers, golds, task.labels)
        unparsable = sum(answer.strip() not in task.labels for answer in answers)
    elif task.kind == "rating":
        expected = official_ratings(answers, golds)
        unparsable = sum(answer in ("four", "", "5 stars", "[3]", "2,5") for answer in answers)
    else:
        expected = official_texts(answers, golds)
        unparsable = answers.count("")
    assert scores["metrics"] == pytest.approx(expected, abs=1e-6 if task.kind == "text" else 1e-9)
    assert list(scores["metrics"]) == list(expected)
    assert (scores["n"], scores["parse_failures"]) == (N, unparsable)
    assert unparsable > 50
