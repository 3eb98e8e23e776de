"""The import of polls in the admin: by file or by text, by who may add them."""

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from polls.models import Question
from tests.support.servers import ROOT

pytestmark = pytest.mark.django_db
PATH = "/admin/polls/question/import/"
POLL = "- question: Which?\n  choices: [Red, Blue]\n"


def uploaded(data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("polls.yaml", data)


def test_it_works(admin_client):
    assert PATH in admin_client.get("/admin/polls/question/").text
    assert "What a file looks like" in admin_client.get(PATH).text
    page = admin_client.post(PATH, {"polls": POLL}, follow=True)
    assert "1 poll was imported." in page.text
    assert [*Question.objects.get().choice_texts.values()] == ["Red", "Blue"]
    assert LogEntry.objects.get().change_message == "Imported."


def test_it_takes_a_file(admin_client):
    demo = uploaded((ROOT / "docs/demo.yaml").read_bytes())
    page = admin_client.post(PATH, {"file": demo}, follow=True)
    assert "3 polls were imported." in page.text
    assert Question.objects.count() == LogEntry.objects.count() == 3


@pytest.mark.parametrize("is_file", [False, True])
def test_it_says_what_is_wrong_and_keeps_what_was_sent(admin_client, is_file):
    text = POLL + "  kind: ranekd\n  voters: all\n"
    sent = {"file": uploaded(text.encode())} if is_file else {"polls": text}
    page = admin_client.post(PATH, sent).text
    assert "Nothing was imported." in page
    assert "line 3: kind is &#x27;ranekd&#x27;. Use one, several or ranked." in page
    assert "line 4: voters is &#x27;all&#x27;." in page
    assert "kind: ranekd\n" in page.replace("\r", "")
    assert not Question.objects.exists()


@pytest.mark.parametrize(
    "sent, sentence",
    [
        ({}, "Choose a file, or write or paste its text."),
        ({"polls": " \n"}, "Choose a file, or write or paste its text."),
        ({"polls": "a"}, "This is no list of polls."),
        ({"file": b"\xff\x00"}, "The file is not text in UTF-8."),
        ({"file": b""}, "The submitted file is empty."),
    ],
)
def test_it_rejects_what_is_no_file_of_polls(admin_client, sent, sentence):
    sent = {k: uploaded(v) if k == "file" else v for k, v in sent.items()}
    page = admin_client.post(PATH, sent)
    assert page.status_code == 200 and sentence in page.text


def test_it_rejects_a_form_without_a_token(admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(PATH, {"file": uploaded(POLL.encode())}).status_code == 403
    assert client.get(PATH).status_code == 200
    token = client.cookies["csrftoken"].value
    sent = {"file": uploaded(POLL.encode()), "csrfmiddlewaretoken": token}
    assert client.post(PATH, sent).status_code == 302
    assert Question.objects.count() == 1


def test_it_requires_the_right_to_add_polls(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("ann", is_staff=True))
    assert client.get(PATH).status_code == 403
    assert client.post(PATH, {"polls": POLL}).status_code == 403
    client.logout()
    assert client.post(PATH, {"polls": POLL}).status_code == 302
    assert not Question.objects.exists()


def test_other_pages_still_refuse_files(admin_client, question):
    sent = {"file": uploaded(b"x"), "question_text": "Which?"}
    path = f"/admin/polls/question/{question.pk}/change/"
    assert admin_client.post(path, sent).status_code == 400


def test_selected_polls_are_exported(admin_client, ask):
    first, second = (ask(f"Question {n}?", "Yes", "No") for n in range(2))
    sent = {"action": "export_polls", "_selected_action": [second.pk]}
    answer = admin_client.post("/admin/polls/question/", sent)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="polls.yaml"'
    assert "Question 1?" in answer.text and first.question_text not in answer.text
    assert (
        "1 poll was"
        in admin_client.post(PATH, {"polls": answer.text}, follow=True).text
    )
