"""oEmbed (oembed.com): what another site asks for the frame of a poll, by the address that somebody has pasted there."""

from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import Resolver404, get_script_prefix, resolve, reverse
from django.utils.html import format_html
from django.views.decorators.cache import cache_control

from ..models import Question
from ..serving.decorators import allow
from ..site_url import address
from .lookups import published_or_404

# Pages of a poll that people copy the address of.
PAGES = {"polls:short", "polls:detail", "polls:results", "polls:share", "polls:embed"}
WIDTH = 600
# Of what stands above and below the bars, and of each bar.
HEIGHT, ROW_HEIGHT = 230, 72
MOST_ROWS = 8


@allow("GET", "HEAD")
@cache_control(no_cache=True)
def oembed(request: HttpRequest) -> HttpResponse:
    if request.GET.get("format", "json") != "json":
        sentence = "This site answers in JSON alone: ask with format=json.\n"
        return HttpResponse(sentence, "text/plain; charset=utf-8", status=501)
    question = published_or_404(_question_at(request, request.GET.get("url", "")))
    if not question.may_embed:
        raise Http404
    response = JsonResponse(_frame(request, question))
    # A page may ask by itself: nothing here is for one visitor alone.
    response["Access-Control-Allow-Origin"] = "*"
    return response


def oembed_address(request: HttpRequest, question: Question) -> str:
    """Return where a site finds the frame by the address of a page, which names it."""
    page = address(request, question.results_url)
    query = urlencode({"url": page, "format": "json"})
    return address(request, f"{reverse('polls:oembed')}?{query}")


def _question_at(request: HttpRequest, url: str) -> int:
    """Return the question whose page has this address. Raises Http404 if it is no page of a poll on this site."""
    try:
        parts, own = urlsplit(url), urlsplit(address(request, get_script_prefix()))
        is_here = parts.netloc.lower() == own.netloc.lower()
        if parts.scheme not in {"http", "https"} or not is_here:
            raise Http404
        found = resolve("/" + parts.path.removeprefix(own.path))
    except (ValueError, Resolver404) as error:
        raise Http404 from error
    if found.view_name not in PAGES:
        raise Http404
    return int(found.kwargs["question_id"])


def _frame(request: HttpRequest, question: Question) -> dict[str, object]:
    rows = min(len(question.choice_texts), MOST_ROWS)
    width = _at_most(request.GET.get("maxwidth", ""), WIDTH)
    height = _at_most(request.GET.get("maxheight", ""), HEIGHT + ROW_HEIGHT * rows)
    html = format_html(
        '<iframe src="{}" title="{}" width="{}" height="{}" loading="lazy" style="border: 0"></iframe>',
        address(request, reverse("polls:embed", args=[question.pk])),
        question.question_text,
        width,
        height,
    )
    return {
        "version": "1.0",
        "type": "rich",
        "title": question.question_text,
        "provider_name": settings.SITE_NAME,
        "provider_url": address(request, reverse("polls:index")),
        "html": html,
        "width": width,
        "height": height,
    }


def _at_most(text: str, usual: int) -> int:
    """Read a limit as oEmbed names it; what is none limits nothing."""
    usable = text.isascii() and text.isdecimal() and len(text) < 6
    return min(int(text), usual) if usable else usual
