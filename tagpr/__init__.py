"""TagPR: train a language model to reason about a person, with tagged thoughts (arXiv 2509.23140)."""

__version__ = "0.1.0"
