"""Architectures of PRMU, a file each; the rest of the room knows no more of them than `base.PrmuArch`."""

from tagpr.prmu.arch.agnostic import Agnostic
from tagpr.prmu.arch.base import PrmuArch
from tagpr.prmu.arch.bilinear import Bilinear

# By the name that a saved model's prmu.json carries.
ARCHES: dict[str, type[PrmuArch]] = {"agnostic": Agnostic, "bilinear": Bilinear}
