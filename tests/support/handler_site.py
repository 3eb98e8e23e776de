"""A site for the tests of the ASGI handler, with one address for each thing that a view can do.

What happens in it is kept in `events`.
"""

import asyncio
import contextvars
import io
import threading
import time

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import connections
from django.http import (
    FileResponse,
    Http404,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import include, path, reverse
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt

from polls.audience import SPECTATOR
from polls.models import Question
from polls.serving.event_stream import EventStream
from polls.serving.viewer import Subscription, View

events = []
trail = contextvars.ContextVar("trail", default="")
note = events.append


def leave_trail(step):
    """Show what context variables arrive here, and add one step to them."""
    trail.set(f"{trail.get()} {step}")
    note(f"{trail.get()}, {translation.get_language()}")


class Middleware:
    """Does what the request asks for in X-Do; synchronous, as those of the site are."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        leave_trail("in")
        self.obey(request, "in")
        if request.headers.get("X-Do") == "answer":
            return HttpResponse("from the middleware")
        response = self.get_response(request)
        leave_trail("out")
        self.obey(request, "out")
        response["X-Trail"] = trail.get()
        response.set_cookie("from", "middleware")
        return response

    def process_view(self, request, view, args, kwargs):
        leave_trail("view")
        self.obey(request, "view")

    def process_exception(self, request, error):
        note(f"exception {error!r}")
        if request.headers.get("X-Do") == "save":
            return HttpResponse("saved")

    def process_template_response(self, request, response):
        self.obey(request, "template")
        response.context_data["who"] = "middleware"
        return response

    def obey(self, request, place):
        if request.headers.get("X-Do") == f"break {place}":
            raise RuntimeError(place)


def held(response, *names):
    """Let the response hold something that notes its closing."""
    for name in names or ["response"]:
        response._resource_closers.append(lambda name=name: note(f"closed {name}"))
    return response


@csrf_exempt
def echo(request):
    files = {
        name: [file.name, len(file.read())] for name, file in request.FILES.items()
    }
    facts = {
        "path": [request.path, request.path_info, reverse("echo")],
        "form": [request.GET.dict(), request.POST.dict(), files],
        "cookies": request.COOKIES,
        "uri": request.build_absolute_uri(),
        "meta": {k: str(v) for k, v in sorted(request.META.items()) if k.isupper()},
    }
    response = held(JsonResponse(facts), "one", "two")
    response.set_cookie("kept", "for long", httponly=True, samesite="Lax")
    response["X-Latin"] = "\u00e9t\u00e9"
    return response


@csrf_exempt
def read_raw(request):
    return HttpResponse(str(sum(len(line) for line in request)))


@csrf_exempt
def read_body(request):
    return HttpResponse(str(len(request.body)))


def fail(request, error):
    raise {
        "value": ValueError,
        "missing": Http404,
        "denied": PermissionDenied,
        "suspicious": SuspiciousOperation,
    }[error]("on purpose")


def nothing(request):
    leave_trail("nothing")


def template(request):
    page = engines["django"].from_string("hello {{ who }}")
    return TemplateResponse(request, page, {})


def language(request):
    translation.activate("fr")
    leave_trail("language")
    return StreamingHttpResponse(async_pieces())


def pieces(number, size):
    for n in range(int(number)):
        yield (f"{n} " * int(size))[: int(size)]
    note("all pieces taken")


def stream(request, number, size):
    return held(StreamingHttpResponse(pieces(number, size)))


async def async_pieces(number=3):
    leave_trail("stream")
    try:
        for n in range(number):
            yield f"{n} {reverse('echo')} "
            await asyncio.sleep(0)
    finally:
        note("stream ended")


def async_stream(request, number):
    return held(StreamingHttpResponse(async_pieces(int(number))))


def broken_pieces():
    yield "one"
    raise ZeroDivisionError


def broken_stream(request):
    return held(StreamingHttpResponse(broken_pieces()))


class File(io.BytesIO):
    def read(self, size=-1):
        note("read")
        return super().read(size)

    def close(self):
        note("closed file")
        super().close()


def file(request, size):
    return held(FileResponse(File(b"x" * int(size)), filename="x.txt"))


class SlowFile(File):
    def read(self, size=-1):
        data = super().read(size)
        time.sleep(0.05)
        note("was read")
        return data


def slow_file(request):
    return held(FileResponse(SlowFile(b"x" * 10_000_000), filename="x.txt"))


async def met():
    await sync_to_async(Kept.meeting.wait)(5)
    yield "met"


def meet(request):
    return StreamingHttpResponse(met())


async def awaited(request):
    leave_trail("awaited")
    await asyncio.sleep(0)
    leave_trail("again")
    return held(JsonResponse({"path": request.path, "form": request.POST.dict()}))


async def wait(request):
    note("waits")
    try:
        await asyncio.Event().wait()
    finally:
        note("cancelled")


class Kept:
    """What a test looks at or sets from outside: gates that hold views, and what views were given."""

    awaited_gate: asyncio.Event
    thread_gate: threading.Event
    loop: asyncio.AbstractEventLoop
    connection: object
    meeting: threading.Barrier


async def at_gate(request):
    note("waits")
    await Kept.awaited_gate.wait()
    return HttpResponse("through")


def at_thread_gate(request):
    note("begun")
    assert Kept.thread_gate.wait(5)
    note("done")
    return HttpResponse("through")


def slow(request):
    note("begun")
    time.sleep(0.05)
    note("done")
    return held(HttpResponse("slow"))


async def on_this_loop():
    return asyncio.get_running_loop() is Kept.loop


def loop(request):
    return HttpResponse(str(async_to_sync(on_this_loop)()))


def thread(request):
    time.sleep(0.01)
    return HttpResponse(threading.current_thread().name)


async def count_awaited(request):
    number = await Question.objects.acount()
    Kept.connection = await sync_to_async(lambda: connections["default"])()
    return HttpResponse(str(number))


def live(request):
    watched = Subscription(1, SPECTATOR, 0, View("en"))
    response = held(EventStream(watched))
    response.set_cookie("kept", "for long")
    return response


def handler500(request):
    if "worse" in request.GET:
        raise RuntimeError("the error page breaks too")
    return HttpResponse("our error page", status=500)


urlpatterns = [
    path("", include("polls.urls")),
    path("echo", echo, name="echo"),
    path("read/raw", read_raw),
    path("read/body", read_body),
    path("fail/<error>", fail),
    path("nothing", nothing),
    path("template", template),
    path("language", language),
    path("stream/<number>/<size>", stream),
    path("broken/stream", broken_stream),
    path("async-stream/<number>", async_stream),
    path("file/<size>", file),
    path("slow-file", slow_file),
    path("meet", meet),
    path("thread", thread),
    path("live", live),
    path("slow", slow),
    path("loop", loop),
    path("thread-gate", at_thread_gate),
    path(
        "awaited/",
        include(
            [
                path("", awaited),
                path("wait", wait),
                path("gate", at_gate),
                path("count", count_awaited),
            ]
        ),
    ),
]
