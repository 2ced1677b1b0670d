"""The configuration outside a run: resolved, and mistakes in the user's words."""

import subprocess
import sys

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from tagpr.compose import composed
from tagpr.errors import UserError


def test_the_tests_compose_what_hydra_composes(tmp_path):
    """conftest.py leaves out work of Hydra's that changes nothing, as long as no defaults list has an interpolation."""
    (tmp_path / "a").mkdir()
    (tmp_path / "c").mkdir()
    (tmp_path / "config.yaml").write_text('defaults: [a: b, c: "${a}"]\n')
    (tmp_path / "a" / "b.yaml").write_text("x: 1\n")
    (tmp_path / "c" / "b.yaml").write_text("x: 2\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert hydra.compose("config") == {"a": {"x": 1}, "c": {"x": 2}}
    plain = subprocess.run(
        [sys.executable, "-c", "from tagpr.compose import composed\nprint(composed(['experiment=demo']))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert plain.stdout.strip() == str(composed(["experiment=demo"]))


def test_what_follows_another_value_is_resolved():
    cfg = composed(["data=simulated", "seed=7"])
    assert not OmegaConf.is_interpolation(cfg.data, "seed")
    assert cfg.data.seed == 7


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sft.stesp=3", "Did you mean sft.steps"),
        ("data=simulatde", "Did you mean simulated"),
        ("run_name=${nowhere}", "nowhere"),  # found when it is resolved
    ],
)
def test_a_mistake_is_explained_and_leaves_nothing_behind(override, message):
    with pytest.raises(UserError, match=message):
        composed([override])
    assert not GlobalHydra.instance().is_initialized()
    assert composed([]).seed == 0
