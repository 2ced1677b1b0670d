"""The language model: loading, log-probabilities, shared prefixes, generation."""
