"""Runs every notebook from top to bottom and stops at the first error. Nothing is written back."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parent
FIRST_LINE = "RUN = None  # a run folder; None takes the newest under ../runs"


def execute(path: Path, *, run: Path | None, timeout: int) -> nbformat.NotebookNode:
    """The notebook with its outputs, executed in the notebooks' folder.

    Args:
        run: what RUN is set to; None leaves the notebook as it is.
        timeout: seconds that one cell may take.
    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.source == FIRST_LINE, f"{path.name} must begin with: {FIRST_LINE}"
    if run is not None:
        first.source = f"RUN = {str(run.resolve())!r}"
    NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--log-level=ERROR"],  # a kernel warns of its unencrypted connection within this machine
    ).execute()
    return notebook


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 after the first notebook that failed."""
    parser = argparse.ArgumentParser(description="Run every notebook; nothing is written back.")
    parser.add_argument("run", nargs="?", type=Path, help="a run's folder, or one above several; the newest under runs")
    parser.add_argument("--timeout", type=int, default=300, help="seconds that one cell may take")
    arguments = parser.parse_args(argv)
    # Small plots on few cores: more threads only get in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for path in sorted(FOLDER.glob("[0-9]*.ipynb")):
        started = time.perf_counter()
        try:
            execute(path, run=arguments.run, timeout=arguments.timeout)
        except CellExecutionError as error:
            print(f"{path.name} failed:\n{error}", file=sys.stderr)
            return 1
        print(f"{path.name}: {time.perf_counter() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
