"""Valid files of every kind, what is done to them, and the stage that reads them."""

import json
import warnings
from pathlib import Path

from tagpr.context import StageContext
from tagpr.data.lamp import LampSource
from tagpr.data.retrieval import BM25Retriever
from tagpr.data.stage import run
from tagpr.storage import read_records

LAMP_3 = Path(__file__).parent / "fixtures" / "lamp_mini" / "LaMP_3"
Q, G = "dev/dev_questions.json", "dev/dev_outputs.json"
P = "p.json"  # predictions for tagpr-score

ROWS = [(f"p{p}", f"tea {t} of p{p}", str(1 + (p + t) % 5), f"2020-01-0{t + 1}") for p in range(6) for t in range(7)]
HEADER = "user,text,answer,date"
CSV = "\n".join([HEADER, *(",".join(row) for row in ROWS)]) + "\n"
OBJECTS = [dict(zip(HEADER.split(","), row, strict=True)) for row in ROWS]
LINES_OF_OBJECTS = b"\n".join(json.dumps(row).encode() for row in OBJECTS)


def write(data):
    """Other bytes, or another JSON value, in the file's place."""
    return lambda path: path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())


def edit(change):
    """The file's bytes, changed."""
    return lambda path: path.write_bytes(change(path.read_bytes()))


def value(change):
    """The file's JSON value, changed in place."""

    def damage(path):
        whole = json.loads(path.read_text())
        change(whole)
        path.write_text(json.dumps(whole))

    return damage


def stage_of(data, folder):
    folder.mkdir(exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # answers that are left out
        run(
            data=data, retrieval=BM25Retriever(k=3), inputs={}, output=folder,
            context=StageContext(stage="records", seed=0, checkpoints=folder),
        )  # fmt: skip
    return read_records(folder)


SHARES = {
    "people_shares": {"train": 60, "dev": 20, "test": 20}, "question_shares": {"sft": 50, "pairs": 20, "rl": 30},
    "drop_golds_from": ["sft", "pairs", "rl"], "folds": None, "fold": 0,
}  # fmt: skip


def lamp(root):
    return LampSource(root=str(root), tasks=[], report="dev", **SHARES)
