"""HTML by the element: text is escaped unless it came from here, so that no text of data can become markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

VOID = ("input",)  # has no end and no parts


class Html(str):
    """Markup that `el` made; every other string is text."""

    __slots__ = ()


def el(name: str, /, *parts: str, **attributes: str) -> Html:
    """An element with its attributes (`class_` for class, `_` for a hyphen) and its parts, texts escaped."""
    said = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{join(*parts)}</{name}>")


def join(*parts: str) -> Html:
    """Parts one after the other, texts escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def fold(name: str, summary: Iterable[str], inside: Html, *, is_open: bool) -> Html:
    opened = {"open": ""} if is_open else {}
    return el("details", el("summary", *summary), inside, id=name, **opened)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    cells = [el("tr", *(el("td", cell) for cell in row)) for row in rows]
    return el("table", el("thead", el("tr", *(el("th", name) for name in head))), el("tbody", *cells))


def bars(rows: Iterable[tuple[str, float, bool]]) -> Html:
    """(label, chance, whether it is the truth) as horizontal bars."""
    return el(
        "div",
        *(
            el("div", el("span", label, "\u00a0✓" if is_true else ""), bar(chance, "own" if is_true else ""),
               el("span", f"{chance:.2f}", class_="figure"), class_="row")
            for label, chance, is_true in rows
        ),
        class_="bars",
    )  # fmt: skip


def bar(share: float, kind: str) -> Html:
    fill = el("span", style=f"width:{100 * share:.1f}%", class_=f"fill {kind}".strip())
    return el("span", fill, class_="bar", aria_hidden="true")


def chip(text: str, kind: str) -> Html:
    return el("span", text, class_=f"chip {kind}")


def document(title: str, body: Html, *, styles: Sequence[Path], rules: str = "") -> str:
    """A whole page in one file; its policy forbids the browser to run or load anything, whatever a text says.

    Args:
        styles: files of CSS, put inside in this order; `rules` come behind them.
    """
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    )
    style = "".join(path.read_text(encoding="utf-8") for path in styles) + rules
    named = el("title", title)
    return f"{head}{named}\n<style>\n{style}</style>\n</head>\n<body>\n{el('main', body)}\n</body>\n</html>\n"
