"""Who labels the steps of a raw chain: a file per tagger."""
