"""Settings that every test shares."""

import os

# Before torch is imported anywhere: small tensors on few cores run slower with more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")

from hypothesis import settings

# A loaded machine is not a wrong answer: no deadlines. The same examples every time, so that a red run can be repeated.
settings.register_profile("tagpr", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("tagpr")
