"""The wheel holds all that the checkout has: it plans a run from another folder, in an environment without the
checkout."""

import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    # The build back end is among the development tools, so that building needs no network.
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_holds_the_configuration_and_the_base(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    conf = {f"tagpr/conf/{path.relative_to(ROOT / 'conf').as_posix()}" for path in (ROOT / "conf").rglob("*.yaml")}
    base = {f"tagpr/lm/tiny_base/{name}" for name in ("model.safetensors", "config.json", "tokenizer.json", "SHA256")}
    assert conf | base <= names
    assert not [name for name in names if name.startswith(("tests/", "conf/", "experiments/"))]
    assert wheel.stat().st_size < 16e6


@pytest.mark.slow
def test_the_installed_wheel_plans_a_run_from_another_folder(wheel, tmp_path):
    environment, elsewhere = tmp_path / "environment", tmp_path / "elsewhere"
    elsewhere.mkdir()
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    (packages,) = environment.glob("lib/python*/site-packages")
    # Its libraries are this environment's; an editable install there must not be found before the wheel, so its .pth
    # files are not read.
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    command = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    run(*command, "--force-reinstall", "--quiet", cwd=elsewhere)
    place = run(python, "-c", "import tagpr; print(tagpr.__file__)", cwd=elsewhere).strip()
    assert Path(place).is_relative_to(environment)
    tagpr = environment / "bin" / "tagpr"
    plan = run(tagpr, "experiment=demo", "plan=true", cwd=elsewhere)
    assert "records" in plan
    assert "stages to run" in plan
    assert "experiment: demo" in run(tagpr, "--help", cwd=elsewhere)
    run(tagpr, "experiment=smoke", "until=chains", "logger=none", cwd=elsewhere)
    assert sorted(path.name for path in elsewhere.iterdir()) == ["runs"]
