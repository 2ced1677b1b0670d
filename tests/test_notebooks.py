"""The notebooks: clean in git, importing what the project has, and running on a finished run."""

import ast
import importlib
import importlib.util
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WITH_IPYKERNEL = {"IPython"}


def run_all():
    """notebooks/run_all.py, which is a script beside the package."""
    spec = importlib.util.spec_from_file_location("run_all", ROOT / "notebooks" / "run_all.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_of(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def declared_packages() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [requirement.split(">")[0].split("=")[0].split("<")[0] for requirement in project["dependencies"]]
    return {name.strip().replace("-", "_") for name in names} | {"tagpr"}


def test_they_are_numbered_along_the_path():
    assert [path.name for path in NOTEBOOKS] == [
        "01_records.ipynb", "02_chains.ipynb", "03_training.ipynb", "04_tables.ipynb",
    ]  # fmt: skip


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestEachNotebook:
    def test_is_valid_and_keeps_no_outputs(self, path):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)

    def test_begins_with_a_title_and_the_run(self, path):
        first, second = nbformat.read(path, as_version=4).cells[:2]
        assert first.source.startswith(f"# {int(path.name[:2])}. ")
        assert second.source == run_all().FIRST_LINE

    def test_every_code_cell_compiles_and_imports_what_the_project_declares(self, path):
        allowed = declared_packages() | set(sys.stdlib_module_names) | WITH_IPYKERNEL
        for source in code_of(path):
            tree = ast.parse(source)
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                else:
                    continue
                for name in names:
                    assert name.split(".")[0] in allowed, f"{path.name} imports {name}"
                    assert importlib.util.find_spec(name) is not None, f"{path.name} imports {name}"

    def test_every_name_imported_from_tagpr_is_there(self, path):
        for source in code_of(path):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tagpr."):
                    module = importlib.import_module(node.module or "")
                    missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
                    assert not missing, f"{path.name}: {node.module} has no {', '.join(missing)}"


@pytest.mark.slow
def test_a_folder_without_runs_stops_at_the_first_notebook(tmp_path, capsys):
    assert run_all().main([str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "01_records.ipynb failed" in said.err
    assert "There is no finished run" in said.err
    assert "02_chains" not in said.out + said.err


@pytest.mark.slow
def test_they_run_on_a_finished_run(tmp_path, tagpr):
    assert tagpr("experiment=smoke", "trainer.threads=1", "logger=none", f"paths.runs={tmp_path}").code == 0
    before = {path: path.read_bytes() for path in NOTEBOOKS}
    assert run_all().main([str(tmp_path / "smoke")]) == 0
    assert {path: path.read_bytes() for path in NOTEBOOKS} == before
