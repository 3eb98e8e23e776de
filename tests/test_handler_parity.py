"""Our ASGI handler and Django's own, side by side: asked the same, they do and answer the same.

Each is called as a server would call it. The site is handler_site.py, behind our own middleware and one more.
"""

import asyncio
import collections
import functools
import json
import threading
import tracemalloc

import pytest
from django.conf import settings
from django.core import signals
from django.core.handlers.asgi import ASGIHandler

from polls.serving import event_stream
from polls.serving.asgi_handler import Handler
from tests.support import handler_site as site
from tests.support.visits import FORM, Visit
from tests.support.waiting import until

# Django says so of every synchronous stream under its own handler.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:StreamingHttpResponse must consume synchronous iterators:Warning"
    ),
    pytest.mark.once,
]
PARTS = {"content-type": "multipart/form-data; boundary=cut"}


def part(name, content, filename=""):
    filename = f'; filename="{filename}"' if filename else ""
    head = f'--cut\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'
    return head.encode() + content + b"\r\n--cut--\r\n"


# Made once, with the settings of site_settings.
our_handler = functools.cache(Handler)
django_handler = functools.cache(ASGIHandler)


def run(visit):
    async def on_loop():
        site.Kept.loop = asyncio.get_running_loop()
        return await asyncio.wait_for(visit, 5)

    return asyncio.run(on_loop())


def on_start(**kwargs):
    site.note("started")


def on_finish(**kwargs):
    site.note("finished")


@pytest.fixture(autouse=True)
def site_settings(settings):
    settings.ROOT_URLCONF = "tests.support.handler_site"
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "tests.support.handler_site.Middleware",
    ]
    signals.request_started.connect(on_start)
    signals.request_finished.connect(on_finish)
    site.events.clear()
    yield settings
    signals.request_started.disconnect(on_start)
    signals.request_finished.disconnect(on_finish)


@pytest.fixture
def same():
    """Ask both handlers, hold their answers and the events against each other, and return ours."""

    def same(*request, **details):
        outcomes = []
        for handler in (django_handler(), our_handler()):
            site.events.clear()
            visit = run(Visit(*request, **details).to(handler))
            outcomes.append((visit.answer, list(site.events)))
        assert outcomes[0] == outcomes[1]
        return visit

    return same


def finished():
    counts = site.events.count("started"), site.events.count("finished")
    return counts == (1, 1) and site.events[-1] == "finished"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS", "get"])
def test_it_works(same, method):
    visit = same("/echo?a=1&b=%C3%A9", method)
    assert visit.status == 200
    cookies = [value for name, value in visit.headers_sent if name == b"Set-Cookie"]
    assert len(cookies) == 2
    assert site.events[-3:] == ["closed one", "closed two", "finished"]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "localhost:99999999"},
        {"cookie": "a=1; b=\u00e9; c"},
        {"x-latin": "\u00e9"},
        {"x_under": "1"},
        {"content-length": "abc"},
        {"content-length": "-1"},
        {"content-type": "text/plain; charset=nonsense"},
        {"content-type": "text/plain; charset=hex"},
        {"if-modified-since": "yesterday"},
    ],
    ids=str,
)
def test_it_reads_headers(same, headers):
    assert same("/echo", headers=headers).status in {200, 400}


@pytest.mark.parametrize(
    "scope",
    [
        {"root_path": "/below", "path": "/below/echo"},
        {"root_path": "/below", "path": "/elsewhere/echo"},
        {"client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 80)},
        {"client": None, "server": ("/run/polls.sock", None)},
        {"scheme": "https"},
        {"query_string": b"\xff"},
        {"query_string": "text"},
        {"path": "/\u00e9cho"},
        {"headers": [(b"host", b"localhost"), (b"x-a", b"1"), (b"x-a", b"2")]},
        {"headers": []},
    ],
    ids=str,
)
def test_it_reads_the_scope(same, scope):
    assert same("/echo", scope=scope).status in {200, 400, 404}


@pytest.mark.parametrize(
    "headers, body",
    [
        (FORM, [b"a=1&b=2"]),
        (FORM, [b"a", b"=", b"", b"1", b"&b=%C3%A9"]),
        (FORM, [b"a=1&" * 2000]),
        (FORM, [b"a=1&" * 200_000, b"b=1&" * 20_000]),
        (PARTS, [part("a", b"1")]),
        (PARTS, [part("a", b"1")[:40]]),
        (PARTS, [bytes([byte]) for byte in part("f", b"text", "f.txt")]),
        (PARTS, [part("f", b"x" * 900_000, "f.txt")]),
        ({"content-type": "multipart/form-data"}, [b"x"]),
        ({"content-type": "text/plain"}, [b"text"]),
    ],
)
def test_it_reads_forms_and_files(same, site_settings, headers, body):
    site_settings.FILE_UPLOAD_HANDLERS = [
        "django.core.files.uploadhandler.MemoryFileUploadHandler",
        "django.core.files.uploadhandler.TemporaryFileUploadHandler",
    ]
    headers = {"content-length": str(sum(map(len, body)))} | headers
    same("/echo", "POST", headers, body)
    same("/read/body", "POST", headers, body)
    same("/read/raw", "POST", headers, body)


@pytest.mark.parametrize("path", ["/echo", "/read/body", "/read/raw"])
@pytest.mark.parametrize("headers", [FORM, PARTS, {}], ids=str)
def test_it_rejects_a_large_body_without_a_length(path, headers):
    """Django does not limit it. Ours keeps little of it, and gives nobody the beginning for the whole."""
    body = [part("a", b"1")[:-11]] + [b"x" * 65536] * 80
    visit = run(Visit(path, "POST", headers, body).to(our_handler()))
    assert visit.status == 413 and "more than this site takes" in visit.text
    assert finished()


@pytest.mark.parametrize("headers", [FORM, PARTS, {}], ids=str)
def test_nobody_is_given_the_beginning_of_a_large_body(site_settings, headers):
    """Also where the middleware that refuses it was taken out."""
    whole_body = "polls.serving.middleware.whole_body"
    site_settings.MIDDLEWARE = [m for m in site_settings.MIDDLEWARE if m != whole_body]
    body = [part("a", b"1")[:-11]] + [b"x" * 65536] * 80
    for path in ("/read/body", "/read/raw"):
        visit = run(Visit(path, "POST", headers, body).to(Handler()))
        assert visit.status == 400 or visit.text == "0"


def test_a_body_without_a_length_says_its_length():
    visit = run(Visit("/echo", "POST", FORM, [b"a=", b"1"]).to(our_handler()))
    facts = json.loads(visit.text)
    assert facts["form"][1] == {"a": "1"}
    assert facts["meta"]["CONTENT_LENGTH"] == "3"


def test_nothing_begins_for_a_client_that_leaves_its_upload(same):
    assert same("/echo", "POST", body=[b"a"], leaves_at="upload").answer is None
    assert site.events == []


@pytest.mark.parametrize(
    "path, status",
    [
        ("/fail/value", 500),
        ("/fail/missing", 404),
        ("/fail/denied", 403),
        ("/fail/suspicious", 400),
        ("/nowhere", 404),
        ("/nothing", 500),
        ("/echo", 200),
        ("/template", 200),
        ("/awaited/", 200),
        ("/stream/3/10", 200),
        ("/static/polls/style.css", 200),
    ],
)
@pytest.mark.parametrize(
    "order",
    ["", "answer", "save", "break in", "break out", "break view", "break template"],
)
def test_it_handles_errors_and_middleware(same, path, status, order):
    visit = same(path, headers={"x-do": order})
    assert visit.status == status or order
    assert finished()


def test_an_error_page_that_breaks_is_for_the_server():
    """Of Django's own handler that is true as well, but it leaves a file open."""
    with pytest.raises(RuntimeError, match="the error page breaks too"):
        run(Visit("/fail/value?worse").to(our_handler()))


@pytest.mark.parametrize(
    "path",
    [
        "/stream/0/0",
        "/stream/1/10",
        "/stream/3/100000",
        "/stream/100/100000",
        "/async-stream/0",
        "/async-stream/5",
        "/file/0",
        "/file/10",
        "/file/65536",
        "/file/1000000",
        "/language",
        "/static/admin/js/vendor/jquery/jquery.js",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_it_streams(same, path, method):
    visit = same(path, method, scope={"root_path": "/below"})
    assert visit.status == 200 and visit.answer[-1] and finished()


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=5-9"}, {"range": "bytes=x"}])
def test_it_serves_static_files(same, headers):
    path = "/static/admin/css/base.css"
    visit = same(path, headers=headers)
    etag = dict(visit.headers_sent)[b"ETag"].decode()
    assert same(path, headers={"if-none-match": etag}).status == 304
    assert finished()


def test_it_says_what_broke_in_a_stream():
    """Django leaves such a response open."""
    with pytest.raises(ZeroDivisionError):
        run(Visit("/broken/stream").to(our_handler()))
    assert "closed response" in site.events and finished()


def test_context_variables_go_through_to_the_end(same):
    same("/language")
    assert " in view language out stream, fr" in site.events


def test_async_to_sync_leads_to_the_loop_of_the_server(same):
    assert same("/loop").text == "True"


@pytest.mark.parametrize("handler", [django_handler, our_handler])
def test_asynchronous_receivers_are_called(handler):
    async def receiver(**kwargs):
        site.note(f"received {await site.on_this_loop()}")

    signals.request_started.connect(receiver)
    signals.request_finished.connect(receiver)
    try:
        run(Visit("/echo").to(handler()))
    finally:
        signals.request_started.disconnect(receiver)
        signals.request_finished.disconnect(receiver)
    assert site.events.count("received True") == 2


def test_a_client_that_leaves_has_its_asynchronous_view_cancelled(same):
    same("/awaited/wait", leaves_at="waits")
    assert site.events[-2:] == ["cancelled", "finished"]


def test_a_client_that_leaves_has_its_vote_counted():
    run(Visit("/slow", leaves_at="begun").to(our_handler()))
    assert site.events[-4] == "done" and finished()


def test_a_request_that_the_server_gives_up_is_done_all_the_same():
    # One more than there are threads.
    number = settings.ASGI_THREADS + 1

    async def crowd():
        site.Kept.thread_gate = threading.Event()
        visits = [Visit("/thread-gate").to(our_handler()) for _ in range(number)]
        visits = [asyncio.create_task(visit) for visit in visits]
        await until(lambda: site.events.count("begun") == number - 1)
        visits[-1].cancel()
        await asyncio.wait(visits[-1:])
        site.Kept.thread_gate.set()
        await until(lambda: site.events.count("finished") == number)

    run(crowd())


def test_a_client_that_is_gone_is_no_error():
    """The servers of the README drop what is sent to nobody; others raise, as ASGI has it."""

    async def send(message):
        raise OSError

    visit = Visit("/echo")
    visit.send = send
    run(visit.to(our_handler()))
    assert finished()


def test_a_client_that_leaves_ends_its_stream():
    """At once, where Django leaves the generator to the garbage collector."""
    visit = Visit("/async-stream/1000000", takes=3, leaves_at="client is full")
    run(visit.to(our_handler()))
    assert site.events[-3:] == ["stream ended", "closed response", "finished"]


def test_a_client_that_leaves_has_its_file_closed():
    """No more of it is read than was taken, where Django reads all."""
    visit = Visit("/file/10000000", takes=3, leaves_at="client is full")
    run(visit.to(our_handler()))
    assert site.events.count("read") < 5
    assert site.events[-3:] == ["closed file", "closed response", "finished"]


def test_no_file_is_closed_while_it_is_read():
    async def one():
        visit = Visit("/slow-file", leaves_at="leave").to(our_handler())
        visit = asyncio.create_task(visit)
        # Two pieces are taken at once, the third in its turn.
        await until(lambda: site.events.count("read") == 3)
        site.note("leave")
        await visit

    run(one())
    assert site.events[-4:] == [
        "was read",
        "closed file",
        "closed response",
        "finished",
    ]


def test_no_stream_waits_for_the_queries_of_another():
    async def two():
        site.Kept.meeting = threading.Barrier(2)
        visits = [Visit("/meet").to(our_handler()) for _ in range(2)]
        return await asyncio.gather(*visits)

    assert [visit.text for visit in run(two())] == ["met", "met"]


def test_clients_that_are_slow_hold_up_nobody():
    async def crowd():
        paths = ["/file/10000000", "/stream/100/100000", "/async-stream/1000000"] * 8
        slow = [Visit(path, takes=3, leaves_at="all go") for path in paths]
        slow = [asyncio.create_task(visit.to(our_handler())) for visit in slow]
        await until(lambda: site.events.count("client is full") == len(paths))
        assert (await Visit("/echo").to(our_handler())).status == 200
        site.note("all go")
        await asyncio.gather(*slow)

    run(crowd())


def test_no_page_waits_for_asynchronous_views():
    async def crowd():
        site.Kept.awaited_gate = asyncio.Event()
        waiting = [Visit("/awaited/gate").to(our_handler()) for _ in range(100)]
        waiting = [asyncio.create_task(visit) for visit in waiting]
        await until(lambda: site.events.count("waits") == len(waiting))
        assert (await Visit("/echo").to(our_handler())).status == 200
        site.Kept.awaited_gate.set()
        return await asyncio.gather(*waiting)

    assert {visit.text for visit in run(crowd())} == {"through"}


def test_pages_share_few_threads():
    async def crowd():
        visits = [Visit("/thread").to(our_handler()) for _ in range(30)]
        return await asyncio.gather(*visits)

    names = {visit.text for visit in run(crowd())}
    assert names == {f"polls_{n}" for n in range(settings.ASGI_THREADS)}


@pytest.mark.django_db(transaction=True)
def test_an_asynchronous_view_keeps_no_database_connection():
    assert run(Visit("/awaited/count").to(our_handler())).text == "0"
    assert site.Kept.connection.connection is None


@pytest.mark.parametrize(
    "visit",
    [
        Visit("/echo", "POST", PARTS, [b"x" * 65536] * 300),
        Visit("/stream/300/65536", sent=collections.deque(maxlen=1)),
    ],
    ids=["upload", "stream"],
)
def test_it_keeps_little_in_memory_of_what_is_large(visit):
    """Of 20 MB, that is: less than 5."""

    async def measured():
        tracemalloc.start()
        await visit.to(our_handler())
        return tracemalloc.get_traced_memory()[1]

    try:
        assert run(measured()) < 5_000_000
    finally:
        tracemalloc.stop()


def test_live_results_begin_as_any_other_response(monkeypatch):
    """And what it held is closed by then."""

    async def watch(subscription, receive, send):
        site.note("serving")
        await send({"type": "http.response.body", "body": b"event", "more_body": False})

    monkeypatch.setattr(event_stream.hub, "watch", watch)
    visit = run(Visit("/live").to(our_handler()))
    sent = dict(visit.headers_sent)
    assert sent[b"Content-Type"] == b"text/event-stream"
    assert sent[b"X-Trail"] == b" in view out"
    assert [m["type"] for m in visit.sent[1:]] == ["http.response.body"]
    assert visit.text == "event"
    cookies = [value for name, value in visit.headers_sent if name == b"Set-Cookie"]
    assert len(cookies) == 2
    assert site.events[-3:] == ["closed response", "finished", "serving"]


def test_it_refuses_a_websocket():
    sent = Visit("/polls/1/live/", scope={"type": "websocket"})
    run(sent.to(our_handler()))
    assert sent.sent == [{"type": "websocket.close"}]


def test_it_speaks_http_only():
    for handler in (django_handler(), our_handler()):
        with pytest.raises(ValueError, match="HTTP"):
            run(Visit("/echo", scope={"type": "webtransport"}).to(handler))


def test_it_starts_and_stops_with_its_server():
    async def server():
        messages = iter(["startup", "shutdown"])

        async def receive():
            return {"type": f"lifespan.{next(messages)}"}

        sent = Visit("")
        await our_handler()({"type": "lifespan"}, receive, sent.send)
        return [message["type"] for message in sent.sent]

    assert run(server()) == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
