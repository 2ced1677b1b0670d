"""The configuration outside a run: resolved, and mistakes in the user's words."""

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from tagpr.compose import composed
from tagpr.errors import UserError


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
