"""A bar chart as an SVG picture, in light and in dark."""

from dataclasses import dataclass
from html import escape

STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1c2126}.head{font-weight:bold;font-size:15px}"
    ".b0{fill:#6c9fd8}.b1{fill:#d9a441}.paper{fill:#fbfbf9}.spread{stroke:#1c2126;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e8ebee}"
    ".b0{fill:#3470b0}.b1{fill:#94660f}.paper{fill:#14181c}.spread{stroke:#e8ebee}}"
)
WIDTH, LEFT, RIGHT, BAR = 720, 180, 90, 18


@dataclass(frozen=True)
class Bar:
    label: str
    # The group is a colour: 0 or 1.
    group: int
    low: float
    value: float
    high: float


def _x(value: float, most: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * value / most


def _bar(bar: Bar, y: int, most: float, label: str) -> str:
    end, low, high = (_x(value, most) for value in (bar.value, bar.low, bar.high))
    middle = y + BAR / 2
    return (
        f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>\n'
        f'<rect class="b{bar.group}" x="{LEFT}" y="{y + 1}" width="{end - LEFT:.1f}" height="{BAR - 2}" rx="2"/>\n'
        f'<path class="spread" d="M{low:.1f} {middle}H{high:.1f}"/>\n'
        f'<text x="{max(end, high) + 6:.1f}" y="{y + 14}">{figure(bar.value)}</text>\n'
    )


def _legend(groups: list[str], bars: list[Bar]) -> str:
    used = max((bar.group for bar in bars), default=0) + 1
    parts = [
        f'<rect class="b{n}" x="{LEFT + 110 * n}" y="40" width="12" height="12" rx="2"/>\n'
        f'<text x="{LEFT + 110 * n + 18}" y="51">{escape(group)}</text>\n'
        for n, group in enumerate(groups[:used])
    ]
    return "".join(parts)


def figure(value: float) -> str:
    """Write a number with about three digits."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def chart(title: str, groups: list[str], bars: list[Bar]) -> str:
    """Draw the bars as they come; those with the label of the one before stand close to it."""
    most = max((bar.high for bar in bars), default=0) or 1
    y, before, drawn = 64, "", []
    for bar in bars:
        same = bar.label == before
        y += BAR if same or not before else BAR + 8
        drawn.append(_bar(bar, y - BAR, most, "" if same else bar.label))
        before = bar.label
    spoken = "; ".join(
        f"{bar.label}, {groups[bar.group]}: {figure(bar.value)}" for bar in bars
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 12}" '
        f'viewBox="0 0 {WIDTH} {y + 12}" role="img" aria-labelledby="title desc">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="desc">{escape(spoken)}</desc>\n'
        f'<style>{STYLE}</style>\n<rect class="paper" width="100%" height="100%"/>\n'
        f'<text class="head" x="16" y="26">{escape(title)}</text>\n'
        f"{_legend(groups, bars)}{''.join(drawn)}</svg>\n"
    )
