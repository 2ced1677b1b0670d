"""Settings that every test shares, and the command line as a function."""

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

# Before torch is imported anywhere: small tensors on few cores run slower with more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")

import pytest
from hypothesis import settings

# A loaded machine is not a wrong answer: no deadlines. The same examples every time, so that a red run can be repeated.
settings.register_profile("tagpr", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("tagpr")


@dataclass(frozen=True)
class Answer:
    """What `tagpr` answered: its exit code and what it printed."""

    code: int
    out: str
    err: str


def command_line(*arguments: str) -> Answer:
    """`tagpr` with these arguments, in this process; what it sets for a whole process is put back."""
    from tagpr.run import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    argv, environment = sys.argv, os.environ.copy()
    sys.argv = ["tagpr", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("default")  # pytest makes our own warnings errors; a user reads them
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
    return Answer(code=code, out=out.getvalue(), err=err.getvalue())


@pytest.fixture(scope="session")
def tagpr() -> Callable[..., Answer]:
    """`tagpr("experiment=smoke", "plan=true")`: the command line without another process."""
    return command_line
