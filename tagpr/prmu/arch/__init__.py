"""Architectures of PRMU, a file each; the rest of the room knows no more of them than `base.PrmuArch`."""

from tagpr.prmu.arch.agnostic import Agnostic
from tagpr.prmu.arch.base import PrmuArch
from tagpr.prmu.arch.basis import Basis
from tagpr.prmu.arch.bilinear import Bilinear
from tagpr.prmu.arch.history_text import HistoryText
from tagpr.prmu.arch.similarity import Similarity

# By the name that a saved model's prmu.json carries.
ARCHES: dict[str, type[PrmuArch]] = {
    "agnostic": Agnostic,
    "basis": Basis,
    "bilinear": Bilinear,
    "history_text": HistoryText,
    "similarity": Similarity,
}
