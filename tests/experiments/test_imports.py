"""Experiments are no part of the package: a name that changes there must break a test, not a reader's study."""

import ast
import importlib
import inspect
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "experiments").rglob("*.py"))
NAMES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES]
# Some parsers are made in another file of the folder.
COMMANDS = [
    name
    for name, path in zip(NAMES, FILES, strict=True)
    if "__main__" in path.read_text() and ("ArgumentParser" in path.read_text() or "arguments(" in path.read_text())
]


@pytest.fixture(autouse=True)
def without_trl(monkeypatch):
    """Whoever has not installed the extra `bench` reads the help and imports the rest all the same."""
    monkeypatch.setitem(sys.modules, "trl", None)


@pytest.mark.parametrize("name", NAMES)
def test_every_module_is_imported_and_finds_what_it_takes_from_us_when_it_runs(name):
    tree = ast.parse(inspect.getsource(importlib.import_module(name)))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("tagpr", "experiments"):
            module = importlib.import_module(node.module or "")
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert not missing, f"{name}: {node.module} has no {', '.join(missing)}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_how_it_is_called(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    monkeypatch.delitem(sys.modules, name, raising=False)  # runpy warns of a module that is there already
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(name, run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")


def test_every_command_of_the_benchmarks_is_asked():
    commands = {name for name, path in zip(NAMES, FILES, strict=True) if "__main__" in path.read_text()}
    assert {name for name in commands if name.startswith("experiments.bench.")} <= set(COMMANDS)
