"""The list of questions: its columns, its filter by state, and the ballots of the page that it shows."""

import datetime
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import phrases
from ..models import Question, QuestionQuerySet

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    class _Counted(TypedDict):
        ballots: int

    CountedQuestion = WithAnnotations[Question, _Counted]

STATES = {
    "scheduled": gettext_lazy("Scheduled"),
    "open": gettext_lazy("Open"),
    "closed": gettext_lazy("Closed"),
}

# As the languages of the site write it.
COMMA = re.compile("[,،，]")


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin
    ) -> list[tuple[str, str]]:
        return [(name, str(label)) for name, label in STATES.items()]

    # The admin's query set is the model's own.
    def queryset(  # type: ignore[override]
        self, request: HttpRequest, queryset: QuestionQuerySet
    ) -> QuestionQuerySet:
        in_state = {
            "scheduled": queryset.scheduled,
            "open": queryset.open,
            "closed": queryset.closed,
        }.get(self.value() or "")
        return in_state() if in_state else queryset


class QuestionList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """Count the ballots of this page alone."""
        super().get_results(request)
        if not (self.query or self.has_active_filters):
            # Else it would offer to show all beside all.
            self.full_result_count = self.result_count
        self.result_list = self.result_list.page_with_ballots()


def _short(moment: datetime.datetime) -> SafeString:
    """Write date and time, either of them on one line."""
    local = timezone.localtime(moment)
    parts = date_format(local, "SHORT_DATE_FORMAT"), date_format(local, "TIME_FORMAT")
    return format_html('<span class="unbroken">{}</span> {}', *parts)


@admin.display(description=gettext_lazy("question"), ordering="question_text")
def question(question: Question) -> SafeString:
    text = question.question_text
    return format_html('<span dir="auto" title="{}">{}</span>', text, text)


@admin.display(description=gettext_lazy("state"))
def state(question: Question) -> SafeString:
    state = question.state()
    return format_html('<span class="pill {}">{}</span>', state, STATES[state])


@admin.display(description=gettext_lazy("ballots"))
def ballots(question: "CountedQuestion") -> SafeString:
    address = reverse("admin:polls_question_live", args=[question.pk])
    number = phrases.number(question.ballots)
    name = _("%(ballots)s, live") % {"ballots": number}
    link = '<a href="{}" aria-label="{}">{}</a>'
    return format_html(link, address, name, number)


@admin.display(description=gettext_lazy("opens"), ordering="pub_date")
def opens(question: Question) -> str:
    return _short(question.pub_date)


@admin.display(description=gettext_lazy("closes"), ordering="closes_at")
def closes(question: Question) -> str | None:
    return _short(question.closes_at) if question.closes_at else None


@admin.display(description=gettext_lazy("who votes"), ordering="voters")
def who_votes(question: Question) -> str:
    return COMMA.split(question.get_voters_display())[0]


@admin.display(description=gettext_lazy("share"))
def share_link(question: Question) -> SafeString:
    address = reverse("admin:polls_question_share", args=[question.pk])
    name = _("Share: %(question)s") % {"question": question}
    link = '<a href="{}" aria-label="{}">{}</a>'
    return format_html(link, address, name, _("Share"))


# The admin's types lack a column that may be empty.
COLUMNS: list[str | Callable[[Any], Any]] = [
    question,
    state,
    ballots,
    opens,
    closes,
    who_votes,
    share_link,
]
