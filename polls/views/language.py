import re

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt

from ..serving.decorators import allow
from ..serving.languages import NAMES, remember_language

# Where only forms are sent, the poll itself shows.
_TAKES_FORMS_ALONE = re.compile("(?<=/)(vote|withdraw)/$")


# No cached page could have a security token: whoever forges this sets a language, and nothing else.
@allow("POST")
@csrf_exempt
def language(request: HttpRequest) -> HttpResponse:
    """Remember the language that was chosen at the foot of a page, and lead back to the page."""
    # Not redirect(), which takes a word for the name of a view.
    response = HttpResponseRedirect(_page_before(request))
    code = request.POST.get("language", "")
    if code in NAMES:
        remember_language(response, code)
    return response


def _page_before(request: HttpRequest) -> str:
    """Return where the form was: with its query by the Referer, and without where a browser sends none."""
    for address in (request.headers.get("Referer"), request.POST.get("next")):
        if url_has_allowed_host_and_scheme(address, request.get_host()):
            return _TAKES_FORMS_ALONE.sub("", str(address))
    return reverse("polls:index")
