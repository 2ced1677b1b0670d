from __future__ import annotations

from pathlib import Path

import pytest

from tagpr.lm.backbone import fresh_tiny, load_tokenizer, save_policy, tiny_base_path


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random model of one layer that reads 2048 tokens, and the shipped base's tokenizer."""
    tokenizer = load_tokenizer(tiny_base_path())
    model = fresh_tiny(
        tokenizer,
        hidden_size=16,
        intermediate_size=24,
        num_layers=1,
        num_heads=2,
        num_kv_heads=1,
        head_dim=8,
        max_positions=2048,
        init_std=0.1,
        seed=0,
        attention="two_part",
    )
    folder = tmp_path_factory.mktemp("teacher")
    save_policy(model, tokenizer, folder)
    return folder
