"""Records: where they come from, who is in which split, which entries are retrieved, how a prompt is written."""
