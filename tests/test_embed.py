"""The frame for other sites, and what they ask before they show it."""

from urllib.parse import quote

import pytest

from polls.models import Question
from polls.voting.cast import cast


@pytest.fixture
def framed(question):
    Question.objects.update(may_embed=True)
    cast(question, "a" * 32, [question.choice_set.order_by("pk").first().pk])
    return question


def oembed(client, url, **more):
    return client.get("/oembed", {"url": url, **more})


def test_it_works(client, framed):
    page = client.get(f"/polls/{framed.pk}/embed/")
    assert "100.0%" in page.text and "1 ballot" in page.text
    assert f'href="/polls/{framed.pk}/" target="_blank"' in page.text
    assert f'data-live-url="/polls/{framed.pk}/live/?as=spectator"' in page.text
    assert "frame-ancestors *" in page.headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in page.headers
    assert not page.cookies


@pytest.mark.parametrize("name", ["", "results/", "share/", "embed/"])
def test_nothing_else_can_be_framed(client, question, name):
    Question.objects.update(may_embed=name != "embed/")
    page = client.get(f"/polls/{question.pk}/{name}")
    assert page.status_code == (403 if name == "embed/" else 200)
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "100.0%" not in page.text


def test_a_page_from_memory_can_be_framed_too(client, framed, keeping):
    pages = [client.get(f"/polls/{framed.pk}/embed/") for _ in range(2)]
    for page in pages:
        del page.headers["X-Request-ID"]
    assert pages[0].headers == pages[1].headers
    assert "X-Frame-Options" not in pages[1].headers


def test_hidden_results_show_the_number_alone_whoever_looks(admin_client, framed):
    Question.objects.update(results="closed")
    page = admin_client.get(f"/polls/{framed.pk}/embed/").text
    assert "1 ballot" in page and "100.0%" not in page and "Red" not in page


def test_a_closed_poll_leads_to_its_results(client, framed):
    framed.close()
    page = client.get(f"/polls/{framed.pk}/embed/").text
    assert f'href="/polls/{framed.pk}/results/" target="_blank"' in page
    assert "Red won with 100%" in page


def test_the_results_page_names_its_frame(client, framed):
    page = client.get(f"/polls/{framed.pk}/results/").text
    url = quote(f"http://testserver/polls/{framed.pk}/results/", safe="")
    link = f'href="http://testserver/oembed?url={url}&amp;format=json"'
    assert f'type="application/json+oembed" {link}' in page
    Question.objects.update(may_embed=False)
    assert "oembed" not in client.get(f"/polls/{framed.pk}/results/").text


@pytest.mark.parametrize("name", ["", "results/", "share/", "embed/"])
def test_oembed_gives_the_frame_of_a_page(client, framed, name):
    told = oembed(client, f"http://testserver/polls/{framed.pk}/{name}")
    answer = told.json()
    assert (answer["version"], answer["type"]) == ("1.0", "rich")
    assert f'src="http://testserver/polls/{framed.pk}/embed/"' in answer["html"]
    assert f'width="{answer["width"]}" height="{answer["height"]}"' in answer["html"]
    assert answer["title"] == "Which colour?" and not told.cookies
    assert told.headers["Access-Control-Allow-Origin"] == "*"


def test_oembed_takes_a_host_in_capitals(client, framed, settings):
    settings.ALLOWED_HOSTS = ["polls.example"]
    url = f"http://Polls.example/polls/{framed.pk}/"
    for host in ("polls.example", "POLLS.example"):
        told = client.get("/oembed", {"url": url}, headers={"Host": host})
        assert told.status_code == 200


def test_oembed_keeps_to_the_room_there_is(client, framed):
    url = f"http://testserver/{framed.pk}"
    small = oembed(client, url, maxwidth="300", maxheight="200").json()
    assert (small["width"], small["height"]) == (300, 200)
    usual = oembed(client, url, maxwidth="-1", maxheight="9" * 9).json()
    assert usual["width"] == 600


def test_oembed_keeps_markup_text(client, framed):
    Question.objects.update(question_text='"><script>')
    html = oembed(client, f"http://testserver/{framed.pk}").json()["html"]
    assert "<script>" not in html and "&quot;&gt;" in html


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://testserver/polls/",
        "http://testserver/polls/999/",
        "http://testserver/admin/",
        "http://elsewhere.example/polls/{}/",
        "javascript://testserver/polls/{}/",
        "http://[testserver/polls/{}/",
        "/polls/{}/",
    ],
)
def test_oembed_rejects_what_is_no_poll_here(client, framed, url):
    assert oembed(client, url.format(framed.pk)).status_code == 404


def test_oembed_rejects_a_poll_that_may_not_be_framed(client, question):
    url = f"http://testserver/polls/{question.pk}/"
    assert oembed(client, url).status_code == 404


def test_oembed_rejects_xml(client, framed):
    url = f"http://testserver/polls/{framed.pk}/"
    assert oembed(client, url, format="xml").status_code == 501


def test_a_duplicate_may_be_framed_too(framed):
    framed.refresh_from_db()
    assert framed.duplicate().may_embed
