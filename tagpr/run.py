"""The one verb: `tagpr experiment=demo` composes a configuration, plans it, runs what is missing, and prints the table.

Config stops here: below this module there are built objects and plain values. Heavy libraries are imported when a
stage runs, so that help, plans and errors answer at once.
"""

from __future__ import annotations

import difflib
import errno
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from tagpr import schema
from tagpr.command_help import help_text
from tagpr.compose import conf_dir
from tagpr.config_errors import CONFIG_ERRORS, check_added_keys, check_arguments, explain
from tagpr.context import StopRequested
from tagpr.errors import UserError
from tagpr.pipeline.bounds import check_bounds
from tagpr.pipeline.cache import ArtifactCache
from tagpr.pipeline.fingerprint import FileHashes
from tagpr.pipeline.graph import Graph, Stage, build_graph
from tagpr.pipeline.rl_check import check_objective
from tagpr.stopping import StopSignals

# The disk's, not the program's.
OUR_PLACES_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)


def main() -> None:
    """Console script `tagpr`: exit code 1 for a failed run, 2 for a config mistake, 130 or 143 for a stop by SIGINT or
    SIGTERM."""
    global _signals
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(help_text(conf_dir()))
        return
    schema.register()
    # Hydra would print a traceback's last line and a hint about an environment variable; we name the mistake ourselves.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    warnings.showwarning = _show_warning
    with StopSignals() as _signals:
        sys.exit(_guarded(lambda: _compose_and_run(arguments)))


# The primary config's experiment is made for simulated people; real ones have their own where none is named.
EXPERIMENT_OF_DATA = {"data=lamp": "lamp_small", "data=table": "lamp_small"}


def _with_experiment(arguments: Sequence[str]) -> list[str]:
    data = next((argument for argument in arguments if argument in EXPERIMENT_OF_DATA), None)
    if data is None or any(argument.startswith("experiment=") for argument in arguments):
        return list(arguments)
    chosen = f"experiment={EXPERIMENT_OF_DATA[data]}"
    print(f"{data} without an experiment: {chosen}.", file=sys.stderr)
    return [*arguments, chosen]


def _compose_and_run(arguments: Sequence[str]) -> int:
    """One run, composed once; a sweep or one of Hydra's flags goes to Hydra's own main, which composes twice."""
    arguments = _with_experiment(arguments)
    check_arguments(arguments, conf_dir())
    if not any(argument.startswith(("-", "sweep=", "hydra.")) for argument in arguments):
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="tagpr"):
            cfg = hydra.compose("config", overrides=list(arguments), return_hydra_config=True)
            if cfg.hydra.mode is not RunMode.MULTIRUN:
                HydraConfig.instance().set_config(cfg)
                with open_dict(cfg):
                    del cfg["hydra"]
                return _guarded(lambda: _plan_or_run(cfg))
    # Hydra's parser takes no override behind a flag that stands among overrides.
    sweep = [flag for flag in arguments if flag in ("-m", "--multirun")]
    sys.argv[1:] = [*sweep, *(argument for argument in arguments if argument not in sweep)]
    _failures.clear()
    _finished.clear()
    _job()
    if len(_finished) > 1:
        _guarded(lambda: _show_sweep(_finished))
    if len(_failures) > 1:
        print(f"{len(_failures)} runs failed.", file=sys.stderr)
    return _failures[0] if _failures else 0


# Exit codes of a sweep's failed runs: the others go on. Folders of those that came to their table.
_failures: list[int] = []
_finished: list[Path] = []
_signals = StopSignals()  # of this process; `main` puts them in place


def _show_sweep(folders: Sequence[Path]) -> None:
    """One table of a sweep's runs: arms beside one another, replicates and folds pooled."""
    from tagpr.analysis.runs import read_run
    from tagpr.analysis.sections import sections_of
    from tagpr.analysis.tables import TableView, table_notes
    from tagpr.console import console

    sections = sections_of([read_run(folder) for folder in dict.fromkeys(folders)], None)
    console.print(TableView(sections))
    for line in table_notes(sections):
        console.print(line, style="yellow", markup=False)
    common = os.path.commonpath([folder.parent for folder in folders])
    console.print(f"The files of this table: tagpr-table {common}", soft_wrap=True)


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
def _job(cfg: DictConfig) -> None:
    with _signals:  # a launcher may have put this run into another process
        if code := _guarded(lambda: _plan_or_run(cfg)):
            _failures.append(code)


def _guarded(action: Callable[[], int | None]) -> int:
    """Do it, and answer what the user can put right with one message and an exit code."""
    try:
        return action() or 0
    except StopRequested as stopped:
        print(f"Stopped ({_signals.number.name}): {stopped}. The same command goes on from there.", file=sys.stderr)
        sys.exit(_signals.exit_code)
    except KeyboardInterrupt:
        print(f"Stopped ({_signals.number.name}): no stage was running. The same command goes on.", file=sys.stderr)
        sys.exit(_signals.exit_code)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except CONFIG_ERRORS as error:
        print(f"Config error: {explain(error, sys.argv[1:], conf_dir())}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in OUR_PLACES_ERRORS:
            raise
        where = f" {error.filename}" if error.filename else ""
        print(
            f"Error: cannot write{where}: {error.strerror}. Nothing half-written counts as finished; make room, or "
            "choose another place with paths.runs=FOLDER, and run the same command again.",
            file=sys.stderr,
        )
        return 1


def _show_warning(message: Warning | str, category: type[Warning], *place: object) -> None:
    print(f"Warning: {message}", file=sys.stderr)


def _plan_or_run(cfg: DictConfig) -> None:
    OmegaConf.resolve(cfg)
    # Before torch is imported: its thread pool is sized once.
    os.environ["OMP_NUM_THREADS"] = str(cfg.trainer.threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if cfg.trainer.devices > 1:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # each rank would say that no parameter goes unused
    _check(cfg)
    overrides = [o for o in HydraConfig.get().overrides.task if not o.startswith("ablation=")]

    def variant(ablation: str) -> DictConfig:
        composed = hydra.compose(config_name="config", overrides=[*overrides, f"ablation={ablation}"])
        OmegaConf.resolve(composed)
        return composed

    root = Path(cfg.paths.runs)
    cache = ArtifactCache(root / "cache")
    graph = build_graph(cfg, FileHashes(root / "cache" / "file_hashes.json"), variant)
    selected = _selected(graph, until=cfg.until, only=cfg.only, force=cfg.force)
    if cfg.plan:
        from tagpr.console import console, plan_view
        from tagpr.pipeline.plan import plan

        console.print(plan_view(plan(selected, cache)))
    else:
        _run(cfg, graph, selected, cache)


def _check(cfg: DictConfig) -> None:
    """Contradictions that no single field can show.

    Raises:
        UserError: which settings contradict each other, and how to put it right.
    """
    check_added_keys(cfg)
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise UserError(f"no value for {', '.join(missing)}. Give it on the command line, e.g. {missing[0]}=...")
    for name in cfg.rl.order:
        if name not in cfg.rl.stages:
            raise UserError(
                f"rl.order names the stage {name!r}, but rl.stages has {', '.join(sorted(cfg.rl.stages)) or 'none'}. "
                "Name one of these, or take another option of rl."
            )
    check_bounds(cfg)
    check_objective(cfg)
    _check_trainer(cfg)
    if cfg.evaluation.people.splits == []:
        raise UserError("evaluation.people.splits is empty. Name at least one of train, dev, test.")


# By torch's names, which devices elsewhere follow: Lightning's `gpu` and `auto` are no names of devices.
ACCELERATORS = ("cpu", "cuda", "mps")


def _check_trainer(cfg: DictConfig) -> None:
    devices, strategy = cfg.trainer.devices, cfg.trainer.strategy
    if cfg.trainer.accelerator not in ACCELERATORS:
        raise UserError(
            f"trainer.accelerator={cfg.trainer.accelerator}, expected one of {', '.join(ACCELERATORS)} (trainer=gpu is "
            "cuda)."
        )
    if devices < 1 or strategy not in ("auto", "ddp"):
        raise UserError(
            f"trainer.devices={devices} with trainer.strategy={strategy}: expected devices >= 1, and auto or ddp "
            "(every process holds the whole model). Sharded strategies are not supported."
        )
    if devices > 1 and "LOCAL_RANK" in os.environ:
        raise UserError(
            "LOCAL_RANK is set, as by torchrun: tagpr starts its own processes. Start it once, with "
            f"trainer.devices={devices}."
        )
    for name, size in (("sft.batch_size", cfg.sft.batch_size), ("prmu.blocks_per_step", cfg.prmu.blocks_per_step)):
        if size % devices:
            raise UserError(
                f"{name}={size} cannot be shared evenly by trainer.devices={devices} processes: choose a multiple of "
                f"{devices}."
            )


def _selected(graph: Graph, *, until: str | None, only: str | None, force: str | None) -> list[Stage]:
    names = list(dict.fromkeys(stage.name for stage in graph.stages))
    for key, given in (("until", until), ("only", only), ("force", force)):
        if given is not None and given not in names:
            near = difflib.get_close_matches(given, names, n=1)
            hint = f" Did you mean {key}={near[0]}?" if near else ""
            raise UserError(f"{key}={given}: this run has no such stage.{hint} It has {', '.join(names)}.")
    if only is not None:
        return [stage for stage in graph.stages if stage.name == only]
    if until is not None:
        needed: set[Stage] = set()

        def visit(stage: Stage) -> None:
            needed.add(stage)
            for source in stage.inputs.values():
                visit(source)

        for stage in graph.stages:
            if stage.name == until:
                visit(stage)
        return [stage for stage in graph.stages if stage in needed]
    return list(graph.stages)


def _run(cfg: DictConfig, graph: Graph, selected: Sequence[Stage], cache: ArtifactCache) -> None:
    from tagpr.console import TerminalProgress, closing_panel, console
    from tagpr.pipeline.execute import Executor, Outcome
    from tagpr.pipeline.ledger import NAME, Ledger
    from tagpr.run_folder import plain, write_run_folder
    from tagpr.tracking import Tracker

    started = time.monotonic()
    try:
        cache.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"paths.runs={cfg.paths.runs}: {error.strerror}. Give a folder that can be written.") from None
    tracker = Tracker(
        mode=cfg.logger.mode, project=cfg.logger.project, group=cfg.experiment_name, folder=Path(cfg.paths.runs)
    )

    def announce(stage: Stage, state: str) -> None:
        if state != "cached":
            console.print(f"[bold]{stage.label}[/bold] {state} [dim]{stage.fingerprint[:10]}[/dim]")

    ledger = Ledger(
        place=Path(cfg.paths.runs) / NAME, experiment=cfg.experiment_name, run_name=cfg.run_name, seed=cfg.seed
    )
    executor = Executor(
        cache=cache, ledger=ledger, view=TerminalProgress(), stop=_signals.event, loggers=tracker.stage_loggers,
        announce=announce,
    )  # fmt: skip
    forced = {cfg.force} if cfg.force else set()
    if cfg.only is not None:
        _check_inputs(selected, cache)
    with console.status("checking settings"):
        executor.check(selected)
    outcomes: list[Outcome] = []
    try:
        for stage in selected:
            with _signals.deferred():
                outcome = executor.run(stage, force=stage.name in forced)
            if outcome.computed:
                tracker.stage_done(outcome)
            outcomes.append(outcome)
    except BaseException:
        tracker.abandon()
        raise
    place, table, metrics, notes = "", None, {}, []
    if cfg.until is None and cfg.only is None:
        folder = write_run_folder(cfg, graph, cache, outcomes)
        _finished.append(folder)
        from tagpr.analysis.files import write_sections
        from tagpr.analysis.runs import read_run
        from tagpr.analysis.sections import sections_of
        from tagpr.analysis.tables import TableView, final_metrics, table_notes

        sections = sections_of([read_run(folder)], None)
        write_sections(sections, folder)
        table, metrics, notes = TableView(sections), final_metrics(sections), table_notes(sections)
        place = str(folder)
    tracker.run_done(
        name=f"{cfg.run_name} seed {cfg.seed}", config=plain(cfg), metrics=metrics,
        artifacts={o.stage.label: o.stage.fingerprint for o in outcomes},
    )  # fmt: skip
    console.print(closing_panel(outcomes, table, notes, place or str(cache.root), time.monotonic() - started))


def _check_inputs(selected: Sequence[Stage], cache: ArtifactCache) -> None:
    for stage in selected:
        for source in stage.inputs.values():
            if cache.manifest(source.name, source.fingerprint) is None:
                raise UserError(
                    f"only={stage.name} needs a finished {source.name} stage ({source.fingerprint[:10]}), which is not "
                    f"in the cache. Run until={source.name} first, or leave only= away."
                )


if __name__ == "__main__":
    main()
