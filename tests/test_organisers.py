"""What staff accounts can do that are no superusers, each with some of the permissions on questions."""

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.test import Client

from polls.audience import lost_rights, right_of
from polls.models import Question
from tests.support.admin_forms import LIST, act, form, staff


def test_who_may_add_questions_adds_their_choices(db):
    client = staff("add")
    assert 'name="choices"' in client.get(f"{LIST}add/").text
    assert client.post(f"{LIST}add/", form()).status_code == 302
    assert Question.objects.get().choice_set.count() == 2
    page = client.post(f"{LIST}add/", form(choices=[]))
    assert "A poll needs at least 2 choices." in page.text


def test_who_may_change_questions_changes_their_choices(question):
    client, path = staff("change"), f"{LIST}{question.pk}/change/"
    assert 'name="choices"' in client.get(path).text
    assert client.post(path, form(choices=["Green", "Black"])).status_code == 302
    texts = question.choice_set.order_by("id").values_list("choice_text", flat=True)
    assert list(texts) == ["Green", "Black"]


def test_who_may_view_questions_reads_their_choices(question):
    page = staff("view").get(f"{LIST}{question.pk}/change/").text
    assert "Red" in page and 'name="choices"' not in page
    assert 'type="submit" value="Save"' not in page


@pytest.mark.parametrize("actions", [["view"], ["change"], ["add", "change"]])
def test_who_may_see_a_question_in_the_admin_sees_its_results(question, actions):
    Question.objects.update(results="organisers")
    client = staff(*actions)
    assert client.get(f"/polls/{question.pk}/results.json").status_code == 200
    request = client.get("/polls/").wsgi_request
    right = right_of(request, question)
    assert not lost_rights([right])
    User.objects.get().user_permissions.clear()
    assert lost_rights([right]) == {right}


@pytest.mark.parametrize("actions", [["add", "delete"], ["add"]])
def test_who_may_not_see_it_there_does_not(question, actions):
    Question.objects.update(results="organisers")
    assert staff(*actions).get(f"/polls/{question.pk}/results.json").status_code == 403


@pytest.mark.parametrize(
    "actions, offered",
    [(["add", "view"], False), (["change"], False), (["add", "change"], True)],
)
def test_a_copy_is_offered_to_who_can_edit_it(question, actions, offered):
    client, copy = staff(*actions), f"{LIST}{question.pk}/duplicate/"
    page = client.get(f"{LIST}{question.pk}/change/").text
    assert ('name="_duplicate"' in page) == offered
    assert ('value="duplicate"' in client.get(LIST).text) == offered
    act(client, "duplicate", question)
    page = client.post(copy, follow=True)
    assert page.status_code == (200 if offered else 403)
    assert ('name="question_text"' in page.text) == offered
    assert Question.objects.count() == (3 if offered else 1)


@pytest.fixture
def organiser(db):
    make_group = import_module("polls.migrations.0007_organisers").make_group
    make_group(apps, None)
    user = User.objects.create_user("ann", is_staff=True)
    user.groups.add(Group.objects.get(name="Organisers"))
    client = Client()
    client.force_login(user)
    return client


def test_the_group_is_all_that_an_organiser_needs(organiser, question):
    assert organiser.post(f"{LIST}add/", form(voters="codes")).status_code == 302
    question = Question.objects.get(voters="codes")
    codes = f"{LIST}{question.pk}/codes/"
    made = {"number": 2, "after": 0, "make": "sheet"}
    assert "No. 2" in organiser.post(codes, made, follow=True).text
    copy = organiser.post(f"{LIST}{question.pk}/duplicate/", follow=True)
    assert 'name="choices"' in copy.text
    act(organiser, "close_now", question, sure="yes")
    assert Question.objects.closed().get() == question
    organiser.post(f"{LIST}{question.pk}/delete/", {"post": "yes"})
    assert not Question.objects.filter(pk=question.pk)
    assert organiser.get("/admin/auth/user/").status_code == 403


def test_a_group_that_is_there_keeps_its_permissions(organiser):
    group = Group.objects.get(name="Organisers")
    group.permissions.clear()
    import_module("polls.migrations.0007_organisers").make_group(apps, None)
    assert not group.permissions.exists()
