import pytest
from django.urls import reverse

from polls.models import Question
from tests.support.ballots import voted


def test_it_works(client, question):
    page = client.get("/polls/")
    assert page.context["latest_question_list"] == [question]
    assert (
        f'<a href="/polls/{question.pk}/"><bdi dir="auto">Which colour?</bdi></a>'
        in page.text
    )
    assert "<span>0 ballots</span>" in page.text


def test_the_root_leads_to_it(client, db):
    assert client.get("/").headers["Location"] == reverse("polls:index")


def test_it_says_when_there_are_none(client, db):
    assert "No polls are available." in client.get("/polls/").text


def test_it_hides_scheduled_questions(client, ask):
    ask("Secret?", opens=1)
    assert "Secret?" not in client.get("/polls/").text


def test_it_parts_what_is_open_from_what_has_closed(client, ask):
    ask("Over?", opens=-2, closes=-1)
    ask("Lasting?", opens=-3)
    ask("Now?", opens=-4, closes=73)
    response = client.get("/polls/")
    texts = [q.question_text for q in response.context["latest_question_list"]]
    assert texts == ["Over?", "Lasting?", "Now?"]
    order = [
        "Open polls</h2>",
        "Lasting?",
        "Now?",
        "Closes in 3 days",
        "Closed polls</h2>",
        "Over?",
    ]
    places = [response.text.rindex(words) for words in order]
    assert places == sorted(places)


def test_it_says_how_many_ballots_there_are(client, ask):
    voted(ask("Which?", "Red", "Blue", "Green", kind="several"), "12", "123")
    assert "<span>2 ballots</span>" in client.get("/polls/").text


def vote(client, question):
    client.get(f"/polls/{question.pk}/")
    choice = question.choice_set.first()
    client.post(f"/polls/{question.pk}/vote/", {"choice": choice.pk})


def test_it_says_where_the_visitor_has_voted(client, ask):
    mine, other = ask("Mine?", "Red"), ask("Other?", "Red")
    voted(other, "1")
    vote(client, mine)
    assert client.get("/polls/").context["voted"] == {mine.pk}
    assert client.get("/polls/").text.count("You voted") == 1
    client.post(f"/polls/{mine.pk}/withdraw/")
    assert "You voted" not in client.get("/polls/").text


def test_it_says_where_an_account_has_voted(client, ask, django_user_model):
    question = ask("Who?", "Red", voters="accounts")
    client.force_login(django_user_model.objects.create_user("ann"))
    assert "You voted" not in client.get("/polls/").text
    vote(client, question)
    assert "You voted" in client.get("/polls/").text
    client.logout()
    assert "You voted" not in client.get("/polls/").text


def test_a_poll_that_has_forgotten_its_voters_knows_none(client, question):
    vote(client, question)
    Question.objects.update(voter_salt="")
    assert "You voted" not in client.get("/polls/").text


def test_it_asks_organisers_for_the_first_poll(client, admin_client, db):
    add = 'href="/admin/polls/question/add/"'
    assert add not in client.get("/polls/").text
    assert add in admin_client.get("/polls/").text


def test_the_head_leads_in(client, admin_client, db):
    page = client.get("/polls/").text
    assert '<a href="/accounts/login/">Log in</a>' in page and "Organise" not in page
    page = admin_client.get("/polls/").text
    assert '<a href="/admin/">Organise</a>' in page and "Log in" not in page


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


@pytest.mark.parametrize("number", [10, 20])
def test_it_takes_one_more_for_a_voter(client, ask, django_assert_num_queries, number):
    questions = [ask(f"Question {n}?", "Yes") for n in range(number)]
    vote(client, questions[0])
    with django_assert_num_queries(2):
        assert "You voted" in client.get("/polls/").text
