"""Preference pairs: what a person's own answer is preferred to. A file per kind of negative, pure functions.

N1   another user's gold for the same query, always in both directions, so that a user-blind model is at .5 by
     construction (shared_query.py).
N1_label  another valid label of the task (labels.py). Where people share queries: drawn by how often people give it; it
     teaches what an answer must fit before it can be personal. Where they do not, it is the only N1: a label that a
     model which sees no user finds about as likely as the gold.
N2   an answer that the policy writes for the query under another person's history (generated.py).
N3   an answer written without any history, of about the gold's length (generated.py).
N4   an answer of the policy that the official metric likes less than another of its answers, or than the gold
     (generated.py).
N5   the gold with one small change that is not this person's manner (edits.py).
N6   a wrong answer with a surface cue that looks personal or thorough (cues.py).
Never another user's gold for another query: it would be off the topic, and topic is not taste.
"""

from tagpr.prmu.pairs.base import MIX_KEYS, N1, N1_LABEL, N2, N3, N4, N5, N6, Made, PolicySample, split_queries
from tagpr.prmu.pairs.labels import label_frequencies, label_pairs
from tagpr.prmu.pairs.shared_query import shared_query_pairs

__all__ = [
    "MIX_KEYS",
    "N1",
    "N1_LABEL",
    "N2",
    "N3",
    "N4",
    "N5",
    "N6",
    "Made",
    "PolicySample",
    "label_frequencies",
    "label_pairs",
    "shared_query_pairs",
    "split_queries",
]
