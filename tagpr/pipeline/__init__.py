"""The graph of stages, their fingerprints, and the cache of finished ones."""
