"""What other sites show of a link to a poll, in Open Graph's words."""

from django.http import HttpRequest
from django.templatetags.static import static
from django.utils.translation import gettext

from .. import phrases
from ..models import Question
from ..site_url import address


def open_graph(request: HttpRequest, question: Question, path: str) -> dict[str, str]:
    """Describe the page at this path. Its address and that of its picture stand there in full."""
    root = address(request, "/").removesuffix("/")
    return {
        "description": _description(question),
        "url": f"{root}{path}",
        "image": f"{root}{static('polls/card.png')}",
    }


def _description(question: Question) -> str:
    """Say what is true as long as networks keep it: no numbers, and no time from now."""
    if not question.is_open:
        return gettext("This poll has closed.")
    if not question.closes_at:
        return gettext("Open for votes.")
    time = {"time": phrases.moment(question.closes_at)}
    return gettext("Open for votes until %(time)s.") % time
