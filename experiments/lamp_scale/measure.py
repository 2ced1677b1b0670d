"""Time and peak memory of the records stage on a LaMP-3 root, as the command's user meets them: one JSON line.

python experiments/lamp_scale/measure.py FOLDER
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main(root: Path) -> None:
    with tempfile.TemporaryDirectory() as runs:
        command = [
            sys.executable, "-m", "tagpr.run", "experiment=lamp_small", f"data.root={root}", f"paths.runs={runs}",
            "logger=none", "until=records", "trainer.threads=2",
        ]  # fmt: skip
        # Arrow has a pool of its own.
        environment = {**os.environ, "OMP_NUM_THREADS": "2", "ARROW_IO_THREADS": "2"}
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        seconds = time.monotonic() - began
        [manifest] = Path(runs).glob("cache/records/*/manifest.json")
        stage = json.loads(manifest.read_text())
        files = {file.name: file.stat().st_size for file in manifest.parent.glob("*.parquet")}
    line = {
        "questions_mb": round(sum(path.stat().st_size for path in root.rglob("*_questions.json")) / 1e6, 1),
        "records": stage["counts"]["records"],
        "profile_entries": stage["counts"]["profile_entries"],
        "stage_seconds": stage["seconds"],
        "records_per_second": round(stage["counts"]["records"] / stage["seconds"], 1),
        "cpu_seconds": stage["cpu_seconds"],
        "command_seconds": round(seconds, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6),
        "parquet_mb": round(sum(files.values()) / 1e6, 1),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
