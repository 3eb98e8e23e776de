"""The results as a picture, results.svg: a bar for each choice, or for each choice in each round of a run-off."""

import base64
import hashlib

from ..counting.tally import RoundTally, Tally, in_play

# The one inline style of the site, allowed by its hash: the picture has to carry its colours along.
STYLE = (
    "text{font:16px system-ui,sans-serif;fill:#1c2126}.head{font-weight:bold}.small{font-size:13px}.bar{fill:#1d5fa8}"
    ".line{fill:#d5d9dd}.half{fill:#1c2126}.paper{fill:#fbfbf9}@media(prefers-color-scheme:dark){text{fill:#e8ebee}"
    ".bar{fill:#7db4ef}.line{fill:#37404a}.half{fill:#e8ebee}.paper{fill:#14181c}}"
)
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


def draw(tally: Tally) -> tuple[str, dict[str, object]]:
    """Return the template of the picture, and where in it everything stands."""
    if tally["rounds"]:
        return "polls/rounds.svg", {"style": STYLE, **_rounds(tally)}
    rows = [(64 + 56 * n, choice) for n, choice in enumerate(tally["choices"])]
    height = 80 + 56 * len(rows)
    return "polls/results.svg", {"style": STYLE, "rows": rows, "height": height}


def _rounds(tally: Tally) -> dict[str, object]:
    """Place the rounds side by side, wide enough for their numbers."""
    rounds = tally["rounds"]
    width = max(480, 32 + 72 * len(rounds))
    slot = (width - 32) // len(rounds)
    columns = [(16 + slot * n, round_) for n, round_ in enumerate(rounds)]
    rows = []
    for n, choice in enumerate(tally["choices"]):
        bars = [
            (x, _bar(round_, votes, choice["id"]))
            for x, round_ in columns
            if (votes := round_["votes"][n]) is not None
        ]
        rows.append((88 + 64 * n, choice, bars))
    return {
        "rows": rows,
        "columns": columns,
        "width": width,
        "height": 128 + 64 * len(rows),
        "bar_width": slot - 10,
    }


def _bar(round_: RoundTally, votes: int, choice: int) -> dict[str, object]:
    ballots = in_play(round_)
    return {
        "votes": votes,
        "percent": round(100 * votes / ballots, 1) if ballots else 0.0,
        "goes_out": round_["eliminated"] == choice,
    }
