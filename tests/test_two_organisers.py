"""Two organisers who have the page of one poll open: neither undoes unseen what the other has saved."""

import pytest
from django.test import Client

from polls.models import Question
from polls.voting.cast import cast
from tests.support.admin_forms import change_path, load, read_form, save
from tests.support.races import race

TOLD = "Another organiser has changed this poll since you loaded it"


def test_it_works(admin_client, question):
    data = load(admin_client, question) | {"question_text": "Which shade?"}
    assert admin_client.post(change_path(question), data).status_code == 302
    assert str(Question.objects.get()) == "Which shade?"


CHANGES = [
    ({"question_text": "Which shade?"}, "“Question”: Which shade?"),
    (
        {"closes_at_0": "2099-01-01", "closes_at_1": "00:00:00"},
        "“Closes”: 1 January 2099",
    ),
    ({"kind": "several"}, "“Kind”: Several choices"),
    ({"may_change": ""}, "“Voters may change or withdraw their vote”: no"),
    ({"choices": "Red\nGreen"}, "as choices: Red, Green"),
    ({"choices": "Red\nBlue\nGreen"}, "choices: Red, Blue, Green"),
    ({"choices": "Blue\nRed"}, "choices: Blue, Red"),
]


@pytest.mark.parametrize("theirs, stored", CHANGES)
def test_the_second_is_told_and_loses_nothing(admin_client, question, theirs, stored):
    mine = load(admin_client, question) | {
        "results": "closed",
        "choices": "Red\nBlue\nMauve",
    }
    theirs = load(admin_client, question) | theirs
    assert admin_client.post(change_path(question), theirs).status_code == 302
    before = Question.objects.values().get()
    page = admin_client.post(change_path(question), mine)
    assert page.status_code == 200 and TOLD in page.text and stored in page.text
    assert "Red\nBlue\nMauve</textarea>" in page.text
    assert 'value="closed" selected' in page.text
    assert Question.objects.values().get() == before


def test_who_was_told_saves_by_saving_again(admin_client, question):
    mine = load(admin_client, question) | {"question_text": "Which hue?"}
    question.close()
    page = admin_client.post(change_path(question), mine)
    assert "Stored now as “Closes”" in page.text
    mine = read_form(page)
    assert admin_client.post(change_path(question), mine).status_code == 302
    assert str(Question.objects.get()) == "Which hue?"
    assert Question.objects.get().is_open


@pytest.mark.parametrize("theirs", ["Red\nBlue\nGreen\nTeal", "Red\nGreen"])
def test_who_was_told_saves_other_choices_too(admin_client, question, theirs):
    mine = load(admin_client, question) | {"choices": "Mauve\nRed\nBlue"}
    other = load(admin_client, question) | {"choices": theirs}
    assert admin_client.post(change_path(question), other).status_code == 302
    page = admin_client.post(change_path(question), mine)
    assert TOLD in page.text
    assert admin_client.post(change_path(question), read_form(page)).status_code == 302
    texts = question.choice_set.order_by("pk").values_list("choice_text", flat=True)
    assert list(texts) == ["Mauve", "Red", "Blue"]


def test_a_first_ballot_is_no_change(admin_client, question):
    page = load(admin_client, question)
    cast(question, "a" * 32, [question.choice_set.first().pk])
    assert save(admin_client, question, page).status_code == 302


def test_it_holds_after_the_first_ballot_too(admin_client, question):
    cast(question, "a" * 32, [question.choice_set.first().pk])
    mine = load(admin_client, question)
    save(admin_client, question, mine, closes_at_0="2099-01-01", closes_at_1="0:0")
    page = save(admin_client, question, mine, results="organisers")
    assert TOLD in page.text and "Stored now as “Closes”: 1 January 2099" in page.text
    assert Question.objects.get().closes_at.year == 2099


@pytest.mark.django_db(transaction=True)
def test_of_two_who_save_at_once_one_is_told(admin_client, admin_user, question):
    sent = []
    for text in ("Which shade?", "Which hue?"):
        client = Client()
        client.force_login(admin_user)
        data = load(client, question) | {"question_text": text}
        sent.append(
            lambda client=client, data=data: client.post(change_path(question), data)
        )
    assert sorted(answer.status_code for answer in race(*sent)) == [200, 302]
