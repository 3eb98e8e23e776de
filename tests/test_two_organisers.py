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
        "“Closes”: Jan. 1, 2099",
    ),
    ({"kind": "several"}, "“Kind”: Several choices"),
    ({"may_change": ""}, "“Voters may change or withdraw their vote”: no"),
    ({"choice_set-1-choice_text": "Green"}, "as choices: Red, Green"),
    (
        {"choice_set-TOTAL_FORMS": 3, "choice_set-2-choice_text": "Green"},
        "choices: Red, Blue, Green",
    ),
    (
        {
            "choice_set-0-DELETE": "on",
            "choice_set-TOTAL_FORMS": 3,
            "choice_set-2-choice_text": "Green",
        },
        "choices: Blue, Green",
    ),
]


@pytest.mark.parametrize("theirs, stored", CHANGES)
def test_the_second_is_told_and_loses_nothing(admin_client, question, theirs, stored):
    mine = load(admin_client, question) | {
        "results": "closed",
        "choice_set-TOTAL_FORMS": 3,
    }
    mine["choice_set-2-choice_text"] = "Mauve"
    theirs = load(admin_client, question) | theirs
    assert admin_client.post(change_path(question), theirs).status_code == 302
    before = Question.objects.values().get()
    page = admin_client.post(change_path(question), mine)
    assert page.status_code == 200 and TOLD in page.text and stored in page.text
    assert 'value="Mauve"' in page.text and 'value="closed" selected' in page.text
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


ADDED = {"choice_set-TOTAL_FORMS": 4, "choice_set-3-choice_text": "Teal"}
REMOVED = {"choice_set-1-DELETE": "on"}


@pytest.mark.parametrize(
    "theirs, stored",
    [
        (ADDED, "choices: Red, Blue, Green, Teal"),
        (REMOVED, "choices: Red, Green"),
        (ADDED | REMOVED, "choices: Red, Green, Teal"),
    ],
)
def test_saving_again_cannot_mend_other_choices(admin_client, question, theirs, stored):
    question.choice_set.create(choice_text="Green")
    mine = load(admin_client, question) | {"choice_set-2-choice_text": "Mauve"}
    admin_client.post(change_path(question), load(admin_client, question) | theirs)
    choices = list(question.choice_set.values())
    for _ in range(2):
        page = admin_client.post(change_path(question), mine)
        assert page.status_code == 200 and TOLD in page.text and stored in page.text
        assert "save again" not in page.text
        assert "You typed as choices: Red, Blue, Mauve" in page.text
        assert (
            f'<a href="{change_path(question)}" target="_blank">open it anew</a>'
            in page.text
        )
        # Its rows are for the choices that there are, what was typed for the others is above them.
        mine["loaded"] = read_form(page)["loaded"]
    assert list(question.choice_set.values()) == choices


def test_a_choice_that_is_gone_is_named_on_the_page(admin_client, question):
    mine = load(admin_client, question)
    del mine["loaded"]
    question.choice_set.last().delete()
    page = admin_client.post(change_path(question), mine)
    assert "A choice is not there any more. Open the question anew." in page.text


def test_a_first_ballot_is_no_change(admin_client, question):
    page = load(admin_client, question)
    cast(question, "a" * 32, [question.choice_set.first().pk])
    assert save(admin_client, question, page).status_code == 302


def test_it_holds_after_the_first_ballot_too(admin_client, question):
    cast(question, "a" * 32, [question.choice_set.first().pk])
    mine = load(admin_client, question)
    save(admin_client, question, mine, closes_at_0="2099-01-01", closes_at_1="0:0")
    page = save(admin_client, question, mine, results="organisers")
    assert TOLD in page.text and "Stored now as “Closes”: Jan. 1, 2099" in page.text
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
