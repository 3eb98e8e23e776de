"""Questions in the admin: the form that writes them, what it leads to, and the pages and actions beside it."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db import connection, models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import phrases
from ..models import Ballot, Choice, Invitation, Question
from ..serving.decorators import allow
from .choices import write_choices
from .closing import close_now, close_one
from .duplicating import duplicate, duplicate_one, may_duplicate
from .invitations import codes, sheet, sheet_csv
from .live import live, numbers
from .moments import MomentField, MomentWidget
from .poll_files import export_polls, import_polls, takes_a_file
from .question_form import LIMITS, QuestionForm
from .question_list import COLUMNS, QuestionList, StateFilter
from .sharing import qr_file, share

if TYPE_CHECKING:
    from django.contrib.admin.options import _FieldsetSpec

admin.site.index_title = gettext_lazy("Organise")

# What the buttons above the form do once it is saved, so that nothing that was typed is lost.
NEXT = ["_live", "_share", "_codes", "_close", "_duplicate"]

WHEN = gettext_lazy("When")

# The pages of a question beside its form, and of a sheet of its codes.
ONE = "<int:question_id>"
SHEET = f"{ONE}/codes/<int:first>"


def _clock() -> str:
    """Say by which clock the form's times are read."""
    return format_html(
        _("Times are those of {zone}, where it is {now} now."),
        zone=timezone.get_current_timezone_name(),
        now=date_format(timezone.localtime(), "TIME_FORMAT"),
    )


def _next_step(request: HttpRequest) -> str:
    return next((name for name in NEXT if name in request.POST), "")


@admin.register(Question)
class QuestionAdmin(admin.ModelAdmin):
    form = QuestionForm
    formfield_overrides = {
        models.DateTimeField: {"form_class": MomentField, "widget": MomentWidget}
    }
    fieldsets = [
        (None, {"fields": ["question_text", "choices", "kind", LIMITS]}),
        (WHEN, {"fields": ["pub_date", "closes_at"]}),
        (gettext_lazy("Who"), {"fields": ["voters", "results"]}),
        (
            gettext_lazy("More"),
            {
                "fields": ["may_change", "receipts", "may_embed", "language"],
                "classes": ["collapse"],
            },
        ),
    ]
    list_display = COLUMNS
    list_filter = [StateFilter, "kind", "voters", "pub_date"]
    search_fields = ["question_text"]
    # A search need not count all other questions too.
    show_full_result_count = False
    ordering = ["-pub_date", "-id"]
    # The admin's query set is the model's own.
    actions = [close_now, duplicate, export_polls]  # type: ignore[list-item]

    class Media:
        # Once the page is there, on which it works.
        js = [forms.Script("polls/admin.js", defer=True)]

    def get_changelist(
        self, request: HttpRequest, **kwargs: object
    ) -> type[ChangeList]:
        return QuestionList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(
            request, {"title": _("Polls")} | (extra_context or {})
        )

    @admin.display(description=gettext_lazy("choices"))
    def choices(self, question: Question) -> SafeString:
        """Show the choices as text, where they cannot change."""
        rows = question.choice_set.order_by("pk").values_list("choice_text", "votes")
        items = [
            (text, ngettext("%(votes)d vote", "%(votes)d votes", n) % {"votes": n})
            for text, n in rows
        ]
        listed = format_html_join(
            "", '<li><bdi>{}</bdi> <span class="quiet">{}</span></li>', items
        )
        return format_html('<ol class="choices">{}</ol>', listed)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Question | None:
        """Find the question; to be saved, with its choices locked.

        Race: a first ballot under way is waited for, and a later one waits
        until the page is saved. No wording changes under a ballot.
        """
        question = super().get_object(request, object_id, from_field)
        # Rows are locked in a transaction, and there is one only where something is saved.
        if question and request.method == "POST" and connection.in_atomic_block:
            question.choice_set.lock()
            # Read again: another organiser may have held the lock, and changed it.
            question = super().get_object(request, object_id, from_field)
        return question

    def get_readonly_fields(
        self, request: HttpRequest, obj: Question | None = None
    ) -> list[str]:
        """Show as text what cannot change any more.

        Stale read: a page that was loaded before sends it as a field. Then it
        is read, and Question.clean() refuses what was changed with a sentence,
        with all that was typed still in its place.
        """
        frozen = list(obj.frozen_fields) if obj else []
        # The wording of choices goes with the question's.
        frozen += ["choices"] if "question_text" in frozen else []
        if request.method == "POST":
            shown_as_text = request.POST.get("frozen", "").split()
            return [name for name in frozen if name in shown_as_text]
        return frozen

    def get_fieldsets(
        self, request: HttpRequest, obj: Question | None = None
    ) -> "_FieldsetSpec":
        # Where kinds are offered, admin.css hides the limits of those that have none.
        has_limits = (
            obj is None or obj.rules.has_limits or self._offers_kinds(request, obj)
        )
        return [
            (
                name,
                options
                | {
                    "fields": [
                        f for f in options["fields"] if has_limits or f != LIMITS
                    ]
                }
                | ({"description": _clock()} if name is WHEN else {}),
            )
            for name, options in self.fieldsets
        ]

    def _offers_kinds(self, request: HttpRequest, question: Question) -> bool:
        as_text = "kind" in self.get_readonly_fields(request, question)
        return not as_text and self.has_change_permission(request, question)

    def get_form(
        self,
        request: HttpRequest,
        obj: Question | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> type[forms.ModelForm]:
        why = dict(obj.frozen_fields) if obj else {}
        if why:
            why["choices"] = gettext_lazy("They are what people have voted on.")
        kwargs["help_texts"] = QuestionForm.Meta.help_texts | why
        return super().get_form(request, obj, change, **kwargs)

    def save_model(
        self, request: HttpRequest, obj: Question, form: forms.ModelForm, change: bool
    ) -> None:
        # What the form changed, and Question.clean() with it.
        stored = [f.name for f in Question._meta.fields if f.name in form.initial]
        changed = [n for n in stored if getattr(obj, n) != form.initial[n]]
        obj.save(update_fields=changed if change else None)
        if change and form.changed_data and _next_step(request):
            self.message_user(request, _("What you changed was saved first."))

    def save_related(
        self,
        request: HttpRequest,
        form: forms.ModelForm,
        formsets: list[forms.BaseInlineFormSet],
        change: bool,
    ) -> None:
        super().save_related(request, form, formsets, change)
        if "choices" in form.changed_data:
            write_choices(form.instance, form.cleaned_data["choices"])
        if isinstance(form, QuestionForm) and form.warning:
            self.message_user(request, form.warning, messages.WARNING)

    def response_post_save_add(
        self, request: HttpRequest, obj: Question
    ) -> HttpResponseRedirect:
        if not self.has_view_or_change_permission(request, obj):
            return super().response_post_save_add(request, obj)
        return redirect("admin:polls_question_share", obj.pk)

    def response_change(self, request: HttpRequest, obj: Question) -> HttpResponse:
        step = _next_step(request)
        if step == "_duplicate":
            return duplicate_one(self, request, obj.pk)
        if step == "_close":
            return redirect("admin:polls_question_close", obj.pk)
        if step:
            return redirect(f"admin:polls_question{step}", obj.pk)
        return super().response_change(request, obj)

    def get_urls(self) -> list[URLPattern]:
        read, write = allow("GET", "HEAD"), allow("POST")
        either = allow("GET", "HEAD", "POST")
        # By the end of their names.
        own = {
            "import": ("import/", either(takes_a_file(self._page(import_polls)))),
            "live": (f"{ONE}/live/", read(self._page(live))),
            "numbers": (f"{ONE}/live/numbers.json", read(self._page(numbers))),
            "share": (f"{ONE}/share/", read(self._page(share))),
            "qr": (f"{ONE}/share/qr.svg", read(self._page(qr_file))),
            "close": (f"{ONE}/close/", read(self._page(close_one))),
            "copy": (f"{ONE}/duplicate/", write(self._page(duplicate_one))),
            "codes": (f"{ONE}/codes/", either(self._page(codes))),
            "sheet": (f"{SHEET}/", read(self._page(sheet))),
            "sheet_csv": (f"{SHEET}/codes.csv", read(self._page(sheet_csv))),
        }
        paths = [
            path(route, view, name=f"polls_question_{name}")
            for name, (route, view) in own.items()
        ]
        return paths + super().get_urls()

    def _page(
        self, view: Callable[..., HttpResponse]
    ) -> Callable[..., HttpResponseBase]:
        """Return a view of the admin of one that is given this object."""
        return self.admin_site.admin_view(partial(view, self))

    def has_duplicate_permission(self, request: HttpRequest) -> bool:
        return may_duplicate(self, request)

    def get_view_on_site_url(self, obj: Question | None = None) -> str | None:
        # Before it is published there is nothing to view.
        if obj is None or obj.state() == "scheduled":
            return None
        return super().get_view_on_site_url(obj)

    def get_deleted_objects(
        self, objs: Iterable[Question], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Count what goes along: naming every ballot would be long, and show who holds which receipt."""
        ids = [question.pk for question in objs]
        ballots = Ballot.objects.filter(question__in=ids).values_list("question")
        cast = dict(ballots.annotate(models.Count("pk")))
        names: list[str] = [
            format_html("<bdi>{}</bdi> ({})", q, phrases.ballots(cast.get(q.pk, 0)))
            for q in objs
        ]
        counts = {
            _("polls"): len(ids),
            _("choices"): Choice.objects.filter(question__in=ids).count(),
            _("ballots"): sum(cast.values()),
            _("invitation codes"): Invitation.objects.filter(question__in=ids).count(),
        }
        return names, counts, set(), []
