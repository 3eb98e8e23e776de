"""The page for the wall and the picture to take along."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import segno
from django.conf import settings

from polls.models import Question
from polls.voting.cast import cast
from tests.support.qr_reader import read_squares

SVG = "{http://www.w3.org/2000/svg}"


def test_the_wall_has_question_link_code_and_numbers(client, question):
    cast(question, "a" * 32, [question.choice_set.first().pk])
    page = client.get(f"/polls/{question.pk}/share/")
    link = f'href="http://testserver/polls/{question.pk}/" dir="ltr">testserver/{question.pk}</a>'
    assert link in page.text
    assert 'aria-label="QR code' in page.text
    assert '<strong class="big" data-number="1">1</strong>' in page.text


def test_the_link_is_the_public_address(client, question, settings):
    settings.SITE_URL = "https://polls.example.org"
    page = client.get(f"/polls/{question.pk}/share/").text
    assert f'href="https://polls.example.org/polls/{question.pk}/"' in page


def test_the_code_is_the_link(client, question):
    """Every dark square of the page is one of segno's own picture of the link, and the other way round."""
    page = client.get(f"/polls/{question.pk}/share/")
    code = segno.make_qr(f"http://testserver/polls/{question.pk}/", error="m")
    path, size = page.context["qr"]
    assert f'viewBox="0 0 {size} {size}"' in page.text and path in page.text
    rows = [list(row) for row in code.matrix_iter(border=4)]
    assert read_squares(path, size) == rows


def shares(picture: ElementTree.Element) -> list[float]:
    """Return how much of its track each bar takes."""
    drawn = [bar for bar in picture.iter(f"{SVG}rect") if "x" in bar.attrib]
    tracks = [bar for bar in drawn if bar.get("class") == "track"]
    bars = [bar for bar in drawn if bar.get("class") in {"bar", "lead"}]
    assert [b.get("x") for b in bars] == [t.get("x") for t in tracks]
    pairs = zip(bars, tracks)
    return [round(float(b.get("width")) / float(t.get("width")), 3) for b, t in pairs]


def test_the_picture_says_all_that_it_shows(client, question):
    red = question.choice_set.first()
    cast(question, "a" * 32, [red.pk])
    answer = client.get(f"/polls/{question.pk}/results.svg")
    assert answer.headers["Content-Type"].startswith("image/svg+xml")
    picture = ElementTree.fromstring(answer.content)
    assert picture.find(f"{SVG}title").text == "Which colour?"
    assert "Red: 1 (100.0%). Blue: 0 (0.0%)." in picture.find(f"{SVG}desc").text
    assert shares(picture) == [1, 0]


@pytest.fixture
def drinks(ask):
    question = ask("What?", "Tea", "Coffee", "Water", kind="ranked")
    tea, coffee, water = [c.pk for c in question.choice_set.order_by("id")]
    rankings = [[tea], [tea], [coffee], [coffee], [water, coffee]]
    for n, ranking in enumerate(rankings):
        cast(question, f"{n:032}", ranking)
    return question


def test_the_picture_of_a_ranked_poll_has_its_rounds(client, drinks):
    answer = client.get(f"/polls/{drinks.pk}/results.svg")
    picture = ElementTree.fromstring(answer.content)
    words = picture.find(f"{SVG}desc").text
    assert words.startswith("5 ballots, open. Coffee would be elected now, with 3 of 5")
    assert words.endswith("Tea: 2, 2. Coffee: 2, 3. Water: 1, out.")
    assert shares(picture) == [0.4, 0.4, 0.4, 0.6, 0.2]


def test_the_wall_has_the_elected_and_no_rounds(client, drinks):
    page = client.get(f"/polls/{drinks.pk}/share/").text
    assert "Coffee would be elected now" in page
    assert "Last round" in page
    # Water is out.
    assert (
        page.count("<tr data-choice=") == 3 and page.count(" hidden>\n      <th") == 1
    )
    assert "data-rounds" not in page and "<img" not in page


def test_the_picture_is_answered_304_until_something_changes(client, question):
    path = f"/polls/{question.pk}/results.svg"
    etag = client.get(path).headers["ETag"]
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
    cast(question, "a" * 32, [question.choice_set.first().pk])
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_the_picture_allows_its_own_style_and_no_other(client, question):
    policy = client.get(f"/polls/{question.pk}/results.svg").headers[
        "Content-Security-Policy"
    ]
    assert "style-src 'sha256-" in policy
    assert "unsafe" not in policy


def test_markup_stays_text(client, ask):
    question = ask("<script>alert(1)</script>", "</text><b>&", "]]>")
    for name in ("results.svg", "share/"):
        text = client.get(f"/polls/{question.pk}/{name}").text
        assert "<script>alert" not in text and "<b>" not in text
    ElementTree.fromstring(client.get(f"/polls/{question.pk}/results.svg").content)


def test_a_shared_link_tells_question_and_state(client, ask):
    """Other sites show it as it was when the link was shared: numbers come in once they stay."""
    told = 'property="og:description" content="{}">'
    page = client.get(f"/polls/{ask('Which?', 'Red').pk}/results/").text
    assert told.format("Open · Everyone sees the results at any time.") in page
    closed = ask("Which?", "Red", opens=-2, closes=-1)
    page = client.get(f"/polls/{closed.pk}/results/").text
    assert told.format("Closed · 0 ballots") in page


@pytest.mark.parametrize("name", ["share/", "results.svg", "live/"])
def test_it_rejects_a_scheduled_question(client, ask, name):
    question = ask("Secret?", "Yes", opens=1)
    page = client.get(f"/polls/{question.pk}/{name}")
    assert page.status_code == 404
    assert "Secret?" not in page.text


@pytest.mark.parametrize("number", [2, 20])
@pytest.mark.parametrize("name, queries", [("share/", 3), ("results.svg", 2)])
def test_it_takes_few_queries(
    client, ask, django_assert_num_queries, name, queries, number
):
    """The wall asks for the next poll too: the next in the list, or, after the last, the first."""
    ask("Next?", "Yes", opens=-2)
    question = ask("Many?", *map(str, range(number)))
    with django_assert_num_queries(queries):
        client.get(f"/polls/{question.pk}/{name}")


def test_the_short_address_leads_to_the_ballot(client, question):
    for path in (f"/{question.pk}", f"/{question.pk}/"):
        assert client.get(path).headers["Location"] == f"/polls/{question.pk}/"


def test_the_next_open_poll_goes_round(client, ask):
    first, second = ask("First?", opens=-1), ask("Second?", opens=-2)
    ask("Closed?", opens=-3, closes=-2)
    ask("Later?", opens=1)
    for here, there in ((first, second), (second, first)):
        page = client.get(f"/polls/{here.pk}/share/").text
        assert f'href="/polls/{there.pk}/share/">Next open poll' in page
    Question.objects.filter(pk=second.pk).update(closes_at=second.pub_date)
    assert "Next open poll" not in client.get(f"/polls/{first.pk}/share/").text


def test_a_wall_with_many_choices_begins_with_the_longest_bars(client, ask):
    question = ask("Where?", *(f"City {n}" for n in range(50)))
    for n in range(9):
        cast(
            question,
            f"{n:032}",
            [question.choice_set.get(choice_text=f"City {max(n, 7)}").pk],
        )
    page = client.get(f"/polls/{question.pk}/share/")
    texts = [row.text for row in page.context["rows"]]
    assert texts[:3] == ["City 7", "City 8", "City 0"] and len(texts) == 50
    assert "and 42 more choices" in page.text and "data-sorted" in page.text
    few = client.get(f"/polls/{ask('Few?', *'abcdefgh').pk}/share/").text
    assert "more choice" not in few and "data-sorted" not in few


def test_a_closed_wall_has_no_code_and_says_who_is_elected(client, drinks):
    drinks.close()
    page = client.get(f"/polls/{drinks.pk}/share/").text
    assert "QR code" not in page and "testserver/" not in page
    assert "data-outcome data-veiled>Elected: Coffee" in page


def test_a_wall_with_hidden_results_has_the_number_and_does_not_reload(client, ask):
    question = ask("Secret?", "Yes", "No", results="closed")
    page = client.get(f"/polls/{question.pk}/share/").text
    assert "http-equiv" not in page and "Hide the results" not in page
    assert f'data-live-url="/polls/{question.pk}/live/?only=ballots"' in page
    assert f'data-json-url="/polls/{question.pk}/turnout.json"' in page
    assert 'data-number="1">0<' in page


def test_the_script_holds_no_words():
    """What people read comes from the page, in its language."""
    script = Path(settings.BASE_DIR / "polls/static/polls/live.js").read_text()
    code = re.sub(r"^\s*//.*$|^\"use strict\";$", "", script, flags=re.M)
    texts = re.findall(r"\"[^\"]*\"|'[^']*'|`[^`]*`", code)
    assert not [text for text in texts if re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", text)]
