"""Which artifacts of a run are gone or changed: what to say when a table cannot be made of them."""

from __future__ import annotations

from collections.abc import Sequence

from tagpr.analysis.runs import Artifact, Run
from tagpr.errors import UserError
from tagpr.pipeline.fingerprint import file_sha256


def blame_damage(runs: Sequence[Run]) -> None:
    """Hash every file that the runs' rows rest on; called when reading them has failed.

    Raises:
        UserError: the first artifact that is gone, or whose files are not what its stage wrote.
    """
    artifacts: dict[Artifact, None] = {}
    for run in runs:
        for row in run.rows.values():
            artifacts |= dict.fromkeys([*row.evaluations.values(), *row.diagnostics.values(), *row.stages])
    for one in artifacts:
        if damaged := _damaged(one):
            raise UserError(
                f"{one.folder} is damaged: {', '.join(damaged)} changed or went missing since it was written. Remove "
                "that folder and run the same `tagpr` command again: it will be computed anew."
            )


def _damaged(artifact: Artifact) -> list[str]:
    try:
        files: dict[str, str] = artifact.manifest.get("files", {})
    except ValueError:
        return ["manifest.json"]
    places = {name: artifact.folder / name for name in files}
    return [name for name, at in places.items() if not at.is_file() or file_sha256(at) != files[name]]
