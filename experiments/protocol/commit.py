"""The commit that fixed the protocol: its time, and the seeds drawn from it."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from pathlib import Path

from experiments.protocol.read import PLACE
from tagpr.errors import UserError

# Seeds that people type are for exploring: the worlds of the study must not be among those already looked at.
FIRST_SEED, NUM_SEEDS = 1_000, 999_000


@dataclass(frozen=True, kw_only=True)
class Commit:
    """The last commit that changed the protocol."""

    sha: str
    time: datetime

    def seeds(self, number: int) -> list[int]:
        """Distinct seeds from 1,000 to 999,999: SHA-256 of `<commit>/<i>` for i = 0, 1, ..."""
        digests = (hashlib.sha256(f"{self.sha}/{i}".encode()).digest()[:8] for i in count())
        drawn = (FIRST_SEED + int.from_bytes(digest, "big") % NUM_SEEDS for digest in digests)
        seen: set[int] = set()
        fresh = (seed for seed in drawn if not (seed in seen or seen.add(seed)))
        return list(islice(fresh, number))


def commit_of(root: Path) -> Commit:
    """The protocol's commit.

    Raises:
        UserError: the file as it stands is not committed, or there is no git.
    """
    if _git(root, "status", "--porcelain", "--", str(PLACE)):
        raise UserError(
            f"{root / PLACE} has changes that are not committed, so no seed can be drawn from its commit. Commit them "
            f"before any run (git commit {PLACE}), or take them back (git checkout {PLACE})."
        )
    found = _git(root, "log", "-1", "--format=%H %cI", "--", str(PLACE)).split()
    if not found:
        raise UserError(f"{root / PLACE} is in no commit. Commit it before any run.")
    return Commit(sha=found[0], time=datetime.fromisoformat(found[1]))


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=60, check=True)
    except FileNotFoundError:
        raise UserError("git is not installed, but the study's seeds come from the protocol's commit.") from None
    except subprocess.CalledProcessError as error:
        raise UserError(
            f"git {' '.join(arguments)} failed in {root}: {error.stderr.strip()}. The study needs a git checkout of "
            "this repository: its seeds come from the protocol's commit."
        ) from None
    return done.stdout.strip()
