"""A question's own page of numbers, for its organisers: live bars, and how the ballots came in over time."""

import hashlib
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _

from .. import phrases
from ..counting.tally import Tally, tally_of
from ..counting.turnout import LEAST_STEP, Point, turnout
from .pages import ModelAdmin, page, question_to_view

# What a page shows, by the name of its place: texts, and numbers for the bars. numbers.js puts them there.
Shown = dict[str, str | float]

# Of the picture.
WIDTH, HEIGHT = 640, 160


class Row(NamedTuple):
    pk: int
    text: str
    votes: str
    percent: str
    bar: float


class Dot(NamedTuple):
    """A point of the curve, and where it is in the picture."""

    x: float
    y: float
    point: Point


def answer(request: HttpRequest, shown: Shown) -> HttpResponse:
    """Answer with what is shown, or with 304 if the script that asks has it already."""
    response = JsonResponse(shown)
    response["ETag"] = f'"{hashlib.sha256(response.content).hexdigest()[:16]}"'
    known = get_conditional_response(request, response["ETag"], response=response)
    return known or response


def rows_of(tally: Tally) -> list[Row]:
    """Return each choice with its votes: on a question with rounds, the first preferences."""
    return [
        Row(
            choice["id"],
            choice["text"],
            phrases.number(choice["votes"]),
            choice["percent_text"],
            choice["percent"],
        )
        for choice in tally["choices"]
    ]


def numbers(
    modeladmin: ModelAdmin, request: HttpRequest, question_id: int
) -> HttpResponse:
    tally = tally_of(question_to_view(modeladmin, request, question_id))
    shown: Shown = {"ballots": tally["ballots_number"], "outcome": tally["outcome"]}
    for row in rows_of(tally):
        shown[f"votes-{row.pk}"] = row.votes
        shown[f"percent-{row.pk}"] = row.percent
        shown[f"bar-{row.pk}"] = row.bar
    return answer(request, shown)


def live(
    modeladmin: ModelAdmin, request: HttpRequest, question_id: int
) -> HttpResponse:
    question = question_to_view(modeladmin, request, question_id)
    tally = tally_of(question)
    curve = turnout(question, tally["ballots"])
    dots = _dots(curve.points)
    context = {
        "title": _("Live"),
        "question": question,
        "state": question.state(),
        "ballots": tally["ballots_number"],
        "tally": tally,
        "rows": rows_of(tally),
        "curve": curve,
        "dots": dots,
        "line": " ".join(f"{dot.x},{dot.y}" for dot in dots),
        "size": {"width": WIDTH, "height": HEIGHT},
        "least_step": LEAST_STEP,
        "may_change": modeladmin.has_change_permission(request, question),
    }
    return page(modeladmin, request, "live", context)


def _dots(points: list[Point]) -> list[Dot]:
    """Place the points: time from left to right, ballots from the bottom up."""
    if not points:
        return []
    first, last = points[0].moment, points[-1]
    length = last.moment - first
    return [
        Dot(
            round(WIDTH * ((point.moment - first) / length), 1),
            round(HEIGHT * (1 - point.ballots / last.ballots), 1),
            point,
        )
        for point in points
    ]
