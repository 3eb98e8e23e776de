"""Polls from a file and as a file, as importpolls and exportpolls have them on the command line."""

from collections.abc import Callable

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.csrf import csrf_exempt

from ..models import Question
from ..poll_file.draft import Draft, NotImported, save_polls
from ..poll_file.reading import read_polls
from ..poll_file.writing import write_polls
from .pages import ModelAdmin, page


class ImportForm(forms.Form):
    file = forms.FileField(label=_("A file"), required=False)
    polls = forms.CharField(
        label=_("or its text"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 16, "cols": 80, "spellcheck": "false"}),
    )
    drafts: list[Draft]

    def clean(self) -> None:
        file = self.cleaned_data.get("file")
        data = file.read() if file else self.cleaned_data.get("polls", "").encode()
        if file:
            # So that what is wrong can be mended where it is seen.
            text = data.decode(errors="replace")
            self.data = dict(self.data.items()) | {"polls": text}
        if self.errors:
            return
        if not data.strip():
            raise ValidationError(_("Choose a file, or write or paste its text."))
        try:
            self.drafts = read_polls(data)
        except NotImported as refusal:
            raise ValidationError(refusal.problems) from None


def takes_a_file(
    view: Callable[..., HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Let a view have a file, kept in memory: a request is no larger than 1 MB. The others refuse files."""

    # Before the token is looked for in the form, which the view itself does.
    @csrf_exempt
    def inner(request: HttpRequest) -> HttpResponseBase:
        request.upload_handlers = [MemoryFileUploadHandler(request)]
        return view(request)

    return inner


def import_polls(modeladmin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    if not modeladmin.has_add_permission(request):
        raise PermissionDenied
    is_sent = request.method == "POST"
    form = ImportForm(request.POST, request.FILES) if is_sent else ImportForm()
    if is_sent and form.is_valid():
        return _save(modeladmin, request, form.drafts)
    context = {"title": _("Import polls"), "form": form}
    return page(modeladmin, request, "import", context)


def _save(
    modeladmin: ModelAdmin, request: HttpRequest, drafts: list[Draft]
) -> HttpResponse:
    questions = save_polls(drafts)
    LogEntry.objects.log_actions(
        user_id=str(request.user.pk),
        queryset=questions,
        action_flag=ADDITION,
        change_message="Imported.",
    )
    sentence = ngettext(
        "%(number)s poll was imported.",
        "%(number)s polls were imported.",
        len(questions),
    )
    modeladmin.message_user(
        request, sentence % {"number": len(questions)}, messages.SUCCESS
    )
    return redirect("admin:polls_question_changelist")


@admin.action(description=_("Export selected polls as a file"))
def export_polls(
    modeladmin: ModelAdmin, request: HttpRequest, queryset: QuerySet[Question]
) -> HttpResponse:
    text = "".join(write_polls(queryset))
    response = HttpResponse(text, content_type="application/yaml; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="polls.yaml"'
    return response
