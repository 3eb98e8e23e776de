"""What an organiser gets for a poll that is written: its link, QR code and what stands around them."""

import html
import re

import pytest

from polls.models import Question
from polls.qr import draw
from tests.support.admin_forms import LIST, form, staff


def path(question):
    return f"{LIST}{question.pk}/share/"


def test_it_works(admin_client):
    """A new question leads there."""
    page = admin_client.post(f"{LIST}add/", form(), follow=True)
    question = Question.objects.get()
    assert page.redirect_chain == [(path(question), 302)]
    link = f"http://testserver/polls/{question.pk}/"
    assert f'value="{link}"' in page.text and draw(link).path in page.text


def test_every_row_leads_there(admin_client, question):
    assert f'href="{path(question)}"' in admin_client.get(LIST).text


def test_the_link_is_the_one_of_the_site(admin_client, question, settings):
    told = "ask whoever runs the site to set SITE_URL"
    settings.SITE_URL = "http://localhost:8000"
    assert told in admin_client.get(path(question)).text
    settings.SITE_URL = "https://polls.example.org"
    page = admin_client.get(path(question)).text
    assert told not in page
    assert f'value="https://polls.example.org/polls/{question.pk}/"' in page


def test_the_qr_code_is_a_file_too(admin_client, question):
    answer = admin_client.get(f"{path(question)}qr.svg")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert f"poll-{question.pk}-qr.svg" in answer.headers["Content-Disposition"]
    link = f"http://testserver/polls/{question.pk}/"
    assert f'd="{draw(link).path}"' in answer.text


@pytest.mark.parametrize(
    "opens, closes, sentences",
    [
        (1, None, ["until then the link leads nowhere", "Stays open until you close"]),
        (1, 2, ["until then the link leads nowhere", "Closes "]),
        (-1, None, ["whoever has the link can vote now", "Stays open until you close"]),
        (-1, 1, ["whoever has the link can vote now", "Closes "]),
        (-2, -1, ["no more votes are taken"]),
    ],
)
def test_it_says_when_it_opens_and_closes(admin_client, ask, opens, closes, sentences):
    page = admin_client.get(path(ask("When?", opens=opens, closes=closes))).text
    assert all(sentence in page for sentence in sentences)
    assert ("Closes " in page or "Stays open" in page) == (closes != -1)


def test_a_poll_by_code_leads_to_its_codes(admin_client, question):
    assert "/codes/" not in admin_client.get(path(question)).text
    Question.objects.update(voters="codes")
    assert f"{LIST}{question.pk}/codes/" in admin_client.get(path(question)).text


@pytest.mark.parametrize("actions", [["view"], ["change"]])
def test_who_may_see_the_question_may_share_it(question, actions):
    Question.objects.update(voters="codes")
    page = staff(*actions).get(path(question))
    assert page.status_code == 200
    assert ("/codes/" in page.text) == (actions == ["change"])


@pytest.mark.parametrize("actions", [[], ["add"], ["delete"]])
def test_it_requires_permission(question, actions):
    client = staff(*actions)
    assert client.get(path(question)).status_code == 403
    assert client.get(f"{path(question)}qr.svg").status_code == 403


def test_it_requires_an_account(client, question):
    assert client.get(path(question)).status_code == 302


def test_who_may_only_add_is_not_led_there(db):
    page = staff("add").post(f"{LIST}add/", form(), follow=True)
    assert page.status_code == 200 and Question.objects.count() == 1


def test_markup_stays_text(admin_client, ask):
    page = admin_client.get(path(ask("<script>alert(1)</script>"))).text
    assert "<script>alert" not in page


def test_a_poll_that_may_be_embedded_has_its_html_to_copy(admin_client, ask):
    question = ask('"Tea" & <b>?')
    assert "iframe" not in admin_client.get(path(question)).text
    Question.objects.update(may_embed=True)
    page = admin_client.get(path(question)).text
    (value,) = re.findall(r'<input id="embed" value="([^"]*)"', page)
    assert html.unescape(value) == (
        f'<iframe src="http://testserver/polls/{question.pk}/embed/" '
        'title="&quot;Tea&quot; &amp; &lt;b&gt;?" width="100%" height="480"></iframe>'
    )
