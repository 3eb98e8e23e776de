"""What other sites show of a link to a poll, in Open Graph's words."""

from django.http import HttpRequest
from django.templatetags.static import static

from ..site_url import address


def open_graph(request: HttpRequest, path: str) -> dict[str, str]:
    """Return the addresses of the page at this path and of its picture, in full, as other sites ask."""
    root = address(request, "/").removesuffix("/")
    return {"url": f"{root}{path}", "image": f"{root}{static('polls/card.png')}"}
