"""PRMU: a reward model with user embeddings, from preference pairs to a reward that RL can call."""
