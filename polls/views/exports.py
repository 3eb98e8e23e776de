import csv
import json
from collections.abc import Hashable, Iterator
from functools import partial
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control

from ..counting.ballots_csv import Busy, ballots_file, fingerprint
from ..counting.numbers import count, in_play, lacks_votes
from ..counting.shown import ballots_alone
from ..counting.tally import Tally, tally_of
from ..models import Question
from ..page_sql import Reading, read
from ..serving.decorators import allow
from ..serving.errors import error_page, unavailable
from ..serving.own_pages import Texts, own_page
from ..serving.spectator_cache import cache_for_spectators
from ..serving.versions import tag
from .lookups import look_at, published_or_404, visible_or_403
from .results_svg import STYLE_HASH, draw


@cache_for_spectators()
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def turnout_json(request: HttpRequest, question_id: int) -> HttpResponse:
    """Tell how many ballots there are, which everyone may know where the results are hidden too."""
    alone = ballots_alone(count(published_or_404(question_id)))
    return tag(JsonResponse(alone), alone["ballots"])


@cache_for_spectators()
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def results_json(request: HttpRequest, question_id: int) -> HttpResponse:
    question = published_or_404(question_id)
    find = partial(_look, question)
    look = read(find(request))
    if not look:
        raise PermissionDenied(question.results_rule)
    return own_page(request, look, find, _render_json, "application/json")


class _Look(NamedTuple):
    tally: Tally

    @property
    def version(self) -> int:
        return self.tally["version"]

    def shape(self) -> Hashable:
        return None

    def texts(self) -> dict[str, str]:
        # Nothing in it is HTML.
        return {"tally": SafeString(json.dumps(self.tally))}


def _look(question: Question, request: HttpRequest) -> Reading[_Look | None]:
    """Return what is seen at this moment; None for who may not see it."""
    seen = yield from look_at(request, question)
    return _Look(seen.tally) if seen.is_visible else None


def _render_json(look: _Look, texts: Texts) -> str:
    return texts["tally"]


@cache_for_spectators()
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def results_svg(request: HttpRequest, question_id: int) -> HttpResponse:
    tally = tally_of(visible_or_403(request, question_id))
    context = {"tally": tally, **draw(tally)}
    content_type = "image/svg+xml; charset=utf-8"
    response = render(request, "polls/results.svg", context, content_type)
    response["Content-Security-Policy"] = settings.CONTENT_SECURITY_POLICY.replace(
        "style-src 'self'", f"style-src 'sha256-{STYLE_HASH}'"
    )
    return tag(response, tally["version"])


@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def results_csv(request: HttpRequest, question_id: int) -> HttpResponse:
    tally = tally_of(visible_or_403(request, question_id))
    if lacks_votes(tally) and not tally["rounds"]:
        sentence = gettext("The rounds are being counted. Try again in a few seconds.")
        return unavailable(request, sentence)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = f"poll-{question_id}-results.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    csv.writer(response).writerows(_rows(tally))
    return response


def _rows(tally: Tally) -> Iterator[list[object]]:
    """Yield a head line, and a row a choice; with rounds and, in each row, the outcome, where there are rounds."""
    rounds = tally["rounds"]
    names = [*_round_names(tally), "outcome"] if rounds else []
    outcome = [_harmless(tally["outcome"])] if rounds else []
    yield ["choice_id", "choice", "votes", "percent", *names]
    for n, choice in enumerate(tally["choices"]):
        text = _harmless(choice["text"])
        # None, once the choice is out, is written as an empty field.
        by_round = [round_["votes"][n] for round_ in rounds]
        numbers = [choice["votes"], choice["percent"], *by_round]
        yield [choice["id"], text, *numbers, *outcome]


def _round_names(tally: Tally) -> list[str]:
    """Name the rounds, with the number of ballots where newer ones are not in them."""
    of = ""
    if lacks_votes(tally):
        first = tally["rounds"][0]
        of = f" of {in_play(first) + first['exhausted']} ballots"
    return [f"round {n}{of}" for n in range(1, len(tally["rounds"]) + 1)]


def _harmless(text: str) -> str:
    """Keep a spreadsheet from running this text as a formula."""
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def ballots_csv(request: HttpRequest, question_id: int) -> HttpResponseBase:
    question = visible_or_403(request, question_id)
    if question.state() != "closed":
        raise PermissionDenied(
            gettext("The ballots are published after the poll has closed.")
        )
    if question.ballots_deleted_at:
        sentence = gettext(
            "The ballots of this poll were deleted when its time was over. Its totals remain."
        )
        return error_page(request, 404, sentence)
    fixed = fingerprint(question)
    unchanged = fixed and get_conditional_response(request, f'"{fixed}"')
    return unchanged or _ballots_file(request, question, fixed)


def _ballots_file(
    request: HttpRequest, question: Question, fixed: str
) -> HttpResponseBase:
    try:
        # Before the fingerprint is fixed, a vote of the last moment may still be on its way.
        file = ballots_file(question) if fixed else None
    except Busy:
        file = None
    if not file:
        sentence = gettext("The ballots are being sorted. Try again in a few seconds.")
        return unavailable(request, sentence)
    name = f"poll-{question.pk}-ballots.csv"
    response = FileResponse(file, as_attachment=True, filename=name)
    response["ETag"] = f'"{fixed}"'
    return response
