"""Pictures of PRMU's diagnosis as inline SVG: colours that colour-blind people tell apart, and a marker for each."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.patches import Rectangle

from tagpr.analysis.elements import Html
from tagpr.evaluation.prmu_answers import PICKERS, HackProbe
from tagpr.evaluation.prmu_figures import Figure
from tagpr.evaluation.prmu_judgement import SWAP, Calibration, LengthFigure, SwapMatrix
from tagpr.evaluation.prmu_people import FamilyProbe, PeopleMap

# Okabe and Ito's palette without yellow and black, which vanish on a light and on a dark ground.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C6BB1", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MIN_DRAWN = 5  # people of a point in a line; what fewer say stands in the table alone
_INK = "#010203"  # becomes the page's own text colour, light or dark
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 11, "text.color": _INK, "axes.labelcolor": _INK,
    "axes.edgecolor": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.spines.top": False,
    "axes.spines.right": False, "axes.titlesize": 12, "axes.titleweight": "bold", "legend.frameon": False,
    "grid.color": "#888888", "grid.alpha": 0.25,
}  # fmt: skip


def svg(picture: Picture, *, name: str) -> Html:
    """The picture as an element; the same figures give the same bytes.

    Args:
        name: one of the page's own, so that no two pictures share an id.
    """
    out = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        picture.savefig(out, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # The width of the place that it stands in; the height follows from the view box.
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1 width="100%"', text, count=1)
    return Html(re.sub(r'\bid="(?!\w*[0-9a-f]{10})', f'id="{name}-', text))


def length_picture(by_length: Mapping[str, Sequence[LengthFigure]]) -> Html:
    """Accuracy against entries read, a panel for unseen and one for seen people."""
    shown = [name for name in ("unseen", "seen") if by_length[name]]
    kinds = _kinds(by_length)
    with mpl.rc_context(_STYLE):
        picture = Picture(figsize=(5.2 * max(1, len(shown)), 3.7))
        panels = picture.subplots(1, max(1, len(shown)), squeeze=False, sharey=True)[0]
        for panel, name in zip(panels, shown, strict=False):
            lengths = sorted({figure.length for figure in by_length[name]})
            _chance(panel, 0.5)
            for place, kind in enumerate(kinds):
                own = [f for f in by_length[name] if f.kind == kind and f.accuracy.people >= MIN_DRAWN]
                if own:
                    at = [lengths.index(figure.length) + 0.06 * (place - len(kinds) / 2) for figure in own]
                    _line(panel, at, [figure.accuracy for figure in own], place, kind)
            panel.set_xticks(range(len(lengths)), [str(length) for length in lengths])
            panel.set(title=f"{name} people", xlabel="entries of the history that are read", ylim=(0, 1.03))
            panel.grid(axis="y")
        panels[0].set_ylabel("pairs ranked rightly")
        _legend(picture, panels[0], columns=len(kinds))
    return svg(picture, name="length")


def matrix_picture(matrix: SwapMatrix) -> Html:
    """R(u, x, y) of one question: people down, answers across, each person's own answer framed."""
    rows = sorted(range(len(matrix.people)), key=lambda u: matrix.own[u])
    values = matrix.rewards[rows].numpy()
    bound = float(abs(values).max()) or 1.0
    with mpl.rc_context(_STYLE):
        # The page stretches pictures to its width: a narrow one would come out with giant letters.
        picture = Picture(figsize=(max(7.0, 1.6 + 0.95 * len(matrix.answers)), 1.2 + 0.36 * len(rows)))
        panel = picture.subplots()
        # Cells as shapes: a picture within the picture would be loaded, which the page forbids.
        cells = panel.pcolormesh(values, cmap="PuOr", vmin=-bound, vmax=bound)
        panel.invert_yaxis()
        for place, u in enumerate(rows):
            panel.add_patch(
                Rectangle((matrix.own[u] + 0.04, place + 0.04), 0.92, 0.92, fill=False, edgecolor=_INK, linewidth=2)
            )
        panel.set_xticks(
            [i + 0.5 for i in range(len(matrix.answers))],
            [_short(a, 22) for a in matrix.answers],
            rotation=25,
            ha="right",
        )
        panel.set_yticks([i + 0.5 for i in range(len(rows))], [_short(matrix.people[u], 14) for u in rows])
        panel.set(xlabel="answer", ylabel="judged for")
        panel.spines[:].set_visible(False)
        bar = picture.colorbar(cells, ax=panel, label="R less the person's mean")
        assert bar.solids is not None
        bar.solids.set_rasterized(False)
    return svg(picture, name="matrix")


def calibration_picture(calibration: Calibration) -> Html:
    with mpl.rc_context(_STYLE):
        picture = Picture(figsize=(4.8, 4.2))
        panel = picture.subplots()
        panel.plot([0.5, 1], [0.5, 1], color=_INK, alpha=0.45, linestyle=":", label="as sure as right")
        total = max(figure.count for _, figure in calibration.bins)
        _bars(panel, [c for c, _ in calibration.bins], [figure for _, figure in calibration.bins], COLOURS[0])
        panel.scatter(
            [c for c, _ in calibration.bins], [figure.value for _, figure in calibration.bins], color=COLOURS[0],
            s=[18 + 160 * figure.count / total for _, figure in calibration.bins], zorder=3, label="pairs, by area",
        )  # fmt: skip
        panel.set(xlabel="how sure PRMU says it is", ylabel="how often it is right", xlim=(0.48, 1.02), ylim=(0, 1.03))
        panel.grid()
        panel.legend(loc="lower right")
    return svg(picture, name="calibration")


def best_of_n_picture(best: Mapping[str, Mapping[int, Figure]]) -> Html:
    with mpl.rc_context(_STYLE):
        picture = Picture(figsize=(5.6, 3.8))
        panel = picture.subplots()
        sizes = list(best[PICKERS[0]])
        for place, name in enumerate(PICKERS):
            at = [i + 0.05 * (place - 1.5) for i in range(len(sizes))]
            _line(panel, at, [best[name][n] for n in sizes], place, name)
        panel.set_xticks(range(len(sizes)), [str(n) for n in sizes])
        panel.set(xlabel="answers to pick from", ylabel="official score of the pick")
        panel.set_ylim(bottom=0)
        panel.grid(axis="y")
        panel.legend(loc="lower right")
    return svg(picture, name="best")


def hack_picture(hacks: Sequence[HackProbe]) -> Html:
    """Hack rate and share of answers that the cue raises, a line per cue."""
    labels = [f"{probe.cue} · {'texts' if probe.is_text else 'labels'}" for probe in hacks]
    with mpl.rc_context(_STYLE):
        picture = Picture(figsize=(8.4, 0.9 + 0.42 * len(hacks)))
        panel = picture.subplots()
        panel.axvline(0.5, color=_INK, alpha=0.45, linestyle=":")
        for place, (what, name) in enumerate((("raised", "liked better with the cue"), ("hacked", "hack rate"))):
            figures = [probe.raised if what == "raised" else probe.hacked for probe in hacks]
            at = [len(hacks) - i - 0.12 + 0.24 * place for i in range(len(hacks))]
            for y, figure in zip(at, figures, strict=True):
                if figure.interval:
                    panel.plot(figure.interval, [y, y], color=COLOURS[place], alpha=0.6)
            panel.scatter(
                [figure.value for figure in figures],
                at,
                color=COLOURS[place],
                marker=MARKERS[place],
                label=name,
                zorder=3,
            )
        panel.set_yticks(range(len(hacks), 0, -1), labels)
        panel.set(xlim=(-0.02, 1.02), xlabel="share")
        panel.grid(axis="x")
        _legend(picture, panel, columns=2)
    return svg(picture, name="hacks")


def people_picture(maps: Sequence[PeopleMap]) -> Html:
    """People in the plane of their vectors, a panel per task, coloured by family where it is known."""
    families = sorted({family for one in maps for family in one.families if family})
    columns = min(3, len(maps))
    rows = -(-len(maps) // columns)
    with mpl.rc_context(_STYLE):
        picture = Picture(figsize=(3.5 * columns, 3.2 * rows + 0.5))
        panels = picture.subplots(rows, columns, squeeze=False).flatten()
        for panel in panels[len(maps) :]:
            panel.set_visible(False)
        for panel, one in zip(panels, maps, strict=False):
            for family in ["", *families]:
                own = [i for i, name in enumerate(one.families) if name == family]
                place = families.index(family) if family else -1
                if own:
                    panel.scatter(
                        one.points[own, 0], one.points[own, 1], s=34, alpha=0.8, label=family or "no family",
                        color=COLOURS[place % 7] if family else COLOURS[7],
                        marker=MARKERS[place % 8] if family else ".",
                        linewidths=0,
                    )  # fmt: skip
            panel.set(title=one.task, xticks=[], yticks=[])
            panel.set_xlabel(f"{one.explained:.0%} of the spread, {len(one.points)} people")
        handles = {label: h for panel in panels for h, label in zip(*panel.get_legend_handles_labels(), strict=True)}
        picture.tight_layout(rect=(0, 0, 1, 0.93))
        picture.legend(handles.values(), handles, loc="upper center", ncols=min(5, max(1, len(handles))))
    return svg(picture, name="people")


def probe_picture(probes: Sequence[FamilyProbe]) -> Html:
    with mpl.rc_context(_STYLE):
        picture = Picture(figsize=(5.8, 1.1 + 0.55 * len(probes)))
        panel = picture.subplots()
        for row, probe in enumerate(probes):
            y = len(probes) - row
            chance = 1 / len(probe.families)
            panel.plot([chance, chance], [y - 0.35, y + 0.35], color=_INK, alpha=0.6, linestyle=":")
            for place, (name, figure) in enumerate(probe.accuracy.items()):
                at = y + 0.13 - 0.26 * place
                if figure.interval:
                    panel.plot(figure.interval, [at, at], color=COLOURS[place], alpha=0.6)
                panel.scatter(
                    [figure.value], [at], color=COLOURS[place], marker=MARKERS[place], zorder=3,
                    label=name if not row else None,
                )  # fmt: skip
        panel.set_yticks(range(len(probes), 0, -1), [probe.task for probe in probes])
        panel.set(xlim=(0, 1.02), xlabel="family read rightly, mean over families (dotted: chance)")
        panel.grid(axis="x")
        _legend(picture, panel, columns=2)
    return svg(picture, name="probe")


def _kinds(by_length: Mapping[str, Sequence[LengthFigure]]) -> list[str]:
    found = {figure.kind for figures in by_length.values() for figure in figures}
    return [*sorted(found & {SWAP}), *sorted(found - {SWAP})]


def _line(panel: Axes, at: Sequence[float], figures: Sequence[Figure], place: int, label: str) -> None:
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    # Too few people for an interval: a hollow mark.
    panel.plot(at, [figure.value for figure in figures], color=colour, linewidth=1.4, alpha=0.75)
    _bars(panel, at, figures, colour)
    for x, figure in zip(at, figures, strict=True):
        fill = colour if figure.interval else "none"
        panel.scatter([x], [figure.value], marker=marker, edgecolors=colour, facecolors=fill, s=30, zorder=3)
    panel.plot([], [], color=colour, marker=marker, label=label)


def _bars(panel: Axes, at: Sequence[float], figures: Sequence[Figure], colour: str) -> None:
    for x, figure in zip(at, figures, strict=True):
        if figure.interval:
            panel.plot([x, x], figure.interval, color=colour, linewidth=1.6, alpha=0.5, solid_capstyle="butt")


def _chance(panel: Axes, level: float) -> None:
    panel.axhline(level, color=_INK, alpha=0.45, linestyle=":")


def _legend(picture: Picture, panel: Axes, *, columns: int) -> None:
    handles, labels = panel.get_legend_handles_labels()
    picture.tight_layout(rect=(0, 0, 1, 1 - 0.3 / picture.get_figheight()))
    picture.legend(handles, labels, loc="upper center", ncols=max(1, columns))


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
