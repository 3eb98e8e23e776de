import pytest
from django.urls import reverse

from polls.models import Question


def test_it_works(client, question):
    page = client.get("/polls/")
    assert page.context["latest_question_list"] == [question]
    assert f'<a href="/polls/{question.pk}/">Which colour?</a>' in page.text


def test_the_root_leads_to_it(client, db):
    assert client.get("/").headers["Location"] == reverse("polls:index")


def test_it_says_when_there_are_none(client, db):
    assert "No polls are available." in client.get("/polls/").text


def test_it_hides_scheduled_questions(client, ask):
    ask("Secret?", opens=1)
    assert "Secret?" not in client.get("/polls/").text


def test_it_says_what_is_open_and_closed(client, ask):
    ask("Over?", opens=-2, closes=-1)
    assert "Closed" in client.get("/polls/").text
    Question.objects.all().delete()
    ask("Now?", closes=1)
    assert "Open until" in client.get("/polls/").text


def test_it_pages_newest_first(client, ask):
    for n in range(41):
        ask(f"Question {n}?", opens=n - 41)
    texts = []
    for page in (1, 2, 3):
        response = client.get(f"/polls/?page={page}")
        texts += [q.question_text for q in response.context["latest_question_list"]]
    assert texts == [f"Question {n}?" for n in range(40, -1, -1)]
    assert "Older polls" not in response.text
    assert "Newer polls" in response.text


@pytest.mark.parametrize("page", ["0", "-1", "x", "2", "٣", "9" * 400, ""])
def test_it_rejects_a_page_that_is_not_there(client, question, page):
    assert client.get("/polls/", {"page": page}).status_code == 404


@pytest.mark.parametrize("number", [10, 20])
def test_it_takes_one_query(client, ask, django_assert_num_queries, number):
    for n in range(number):
        ask(f"Question {n}?", "Yes", "No")
    with django_assert_num_queries(1):
        client.get("/polls/")
