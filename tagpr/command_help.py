"""What `tagpr --help` says. The groups are read from the folder's names: nothing is composed, so it answers at once."""

from __future__ import annotations

from pathlib import Path

_COMMANDS = """\
tagpr: tagged thoughts for personal answers, from records to a table.

  make demo                                       the whole method on a laptop
  tagpr experiment=demo plan=true                 what would run, what is cached, for how long
  tagpr experiment=demo ablation=no_prmu          one ablation; what it shares is not computed again
  tagpr -m experiment=lab sweep=ablations         a table of ablations
  tagpr experiment=lamp_small data.root=FOLDER    your LaMP files, a tiny model
  tagpr experiment=lamp_small data=table data.path=FILE   your own table of texts and answers
  tagpr ... until=sft | only=prmu | force=sft     part of a run, or a part again
  tagpr ... key=value                             any key; a misspelt one is an error

tagpr --cfg job prints every key with its value, tagpr --hydra-help what Hydra offers.

Config groups (group=option):
"""


def config_groups(conf: Path) -> dict[str, list[str]]:
    """Group -> its options, by the files of the config folder."""
    groups: dict[str, list[str]] = {}
    for path in sorted(conf.rglob("*.yaml")):
        group = path.parent.relative_to(conf).as_posix()
        if group != ".":
            groups.setdefault(group, []).append(path.stem)
    return groups


def help_text(conf: Path) -> str:
    """The whole answer to `tagpr --help`."""
    return _COMMANDS + "\n".join(f"  {name}: {', '.join(options)}" for name, options in config_groups(conf).items())
