"""The site's addresses, and /slow/: a page that waits for somebody else's answer.

It belongs to the benchmark, not to the site, where no page waits like that.
"""

import asyncio

from django.http import HttpRequest, HttpResponse
from django.urls import path

from polls import urls
from polls.urls import *  # The handlers of errors come along.

WAIT = 0.1


async def slow(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(WAIT)
    return HttpResponse("That took a while.\n", content_type="text/plain")


urlpatterns = [*urls.urlpatterns, path("slow/", slow)]
