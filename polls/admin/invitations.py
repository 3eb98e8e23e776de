"""Invitation codes on paper: how an organiser makes them, has them printed, and voids the lost ones."""

import csv
import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import lazy
from django.utils.text import format_lazy
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _

from .. import phrases
from ..codes import spell
from ..models import Question, is_used
from ..promises import Voters
from ..qr import QrSeries
from ..site_url import address, is_local
from ..voting.identity import Numbered, make_codes, new_seed
from . import sheets
from .pages import ModelAdmin, page, question_to_change

MAX_CODES = 10_000


def _why_none(question: Question) -> str:
    """Say why no codes can be made for this question; empty if they can."""
    if not question.voter_salt:
        return gettext(
            "What ties codes to votes has been erased: this poll takes no more codes."
        )
    if question.state() == "closed":
        return gettext("The poll has closed: nobody could vote with a new code.")
    return ""


class MakeForm(forms.Form):
    number = forms.IntegerField(
        label=_("How many"),
        min_value=1,
        max_value=MAX_CODES,
        error_messages=dict.fromkeys(
            ["required", "invalid", "min_value", "max_value"],
            format_lazy(
                _("Make 1 to {number} codes at a time."),
                number=lazy(phrases.number, str)(MAX_CODES),
            ),
        ),
    )
    # The last number when the page was loaded: a page that is sent twice makes no codes twice.
    after = forms.IntegerField(widget=forms.HiddenInput, initial=0)

    def make(self, question: Question, seed: str) -> Numbered:
        """Return the new codes with their numbers. Raises ValidationError where none can be made."""
        reason = _why_none(question)
        if reason:
            raise ValidationError(reason)
        with transaction.atomic():
            question.choice_set.lock()
            last = question.invitation_set.last_number()
            if last != self.cleaned_data["after"]:
                told = gettext(
                    "Codes up to number %(number)s were made since this page was loaded. "
                    "If that was not you, or you want more, send the form again."
                )
                raise ValidationError(told % {"number": last})
            return make_codes(question, self.cleaned_data["number"], seed)


class VoidForm(forms.Form):
    numbers = forms.CharField(
        label=_("Numbers"),
        max_length=1000,
        help_text=_("As they stand on the slips, such as 3, 17-20."),
        error_messages={
            "required": _("Say which codes are to be void, such as 3, 17-20."),
            "max_length": _("Void fewer codes at a time."),
        },
    )

    def void(self, question: Question) -> tuple[int, int]:
        """Return how many codes were voided, and how many left: used, or void already."""
        codes = question.invitation_set.all()
        numbers = _read_numbers(self.cleaned_data["numbers"], codes.last_number())
        codes = codes.filter(number__in=numbers)
        voided = codes.void()
        return voided, codes.count() - voided


def _read_numbers(text: str, last: int) -> set[int]:
    numbers: set[int] = set()
    # With the digits and commas of any keyboard.
    text = re.sub(r"[,،、，\s]+", " ", re.sub(r"\s*[-–]\s*", "-", text))
    for part in text.strip().split(" "):
        found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if not found:
            told = gettext("“%(text)s” is not a number. Use numbers, such as 3, 17-20.")
            raise ValidationError(told % {"text": part})
        first, end = int(found[1]), int(found[2] or found[1])
        if not 1 <= first <= end <= last:
            told = gettext("There is no code %(text)s: the last number is %(number)s.")
            raise ValidationError(told % {"text": part, "number": last})
        numbers.update(range(first, end + 1))
    return numbers


def _numbers_by_state(question: Question) -> list[tuple[str, int, str]]:
    """Return "Unused", "Used" and "Void", each with how many codes and which numbers.

    Secrecy: while the poll is open, only what the number of ballots tells anyhow. Whoever saw which number is used now,
    and which total has changed, would know a vote. How many are void would tell of each number, for one can be voided
    alone.
    """
    if question.is_open:
        codes = question.invitation_set.aggregate(
            voted=Count("pk", filter=is_used()),
            others=Count("pk", filter=~is_used()),
        )
        return [
            (gettext("Used"), codes["voted"], ""),
            (gettext("Unused or void"), codes["others"], ""),
        ]
    unused, used_up, void = gettext("Unused"), gettext("Used"), gettext("Void")
    states: dict[str, list[int]] = {unused: [], used_up: [], void: []}
    rows = question.invitation_set.order_by("number")
    for number, used, voided_at in rows.values_list("number", is_used(), "voided_at"):
        state = used_up if used else void if voided_at else unused
        states[state].append(number)
    return [
        (state, len(them), ", ".join(_spans(them))) for state, them in states.items()
    ]


def _spans(numbers: Iterable[int]) -> Iterator[str]:
    """Write 1, 2, 3, 7 as 1–3, 7."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    for first, last in spans:
        yield f"{first}–{last}" if last > first else str(first)


def codes(
    modeladmin: ModelAdmin, request: HttpRequest, question_id: int
) -> HttpResponse:
    """Show how many codes there are; make and void them."""
    question = question_to_change(modeladmin, request, question_id)
    if question.voters != Voters.CODES:
        sentence = gettext(
            "This poll takes no invitation codes. Change who votes first."
        )
        modeladmin.message_user(request, sentence, messages.ERROR)
        return redirect("admin:polls_question_change", question.pk)
    try:
        if "make" in request.POST:
            return _make(modeladmin, request, question)
        if "void_all" in request.POST:
            return _void_all(modeladmin, request, question)
        if "void" in request.POST:
            return _void(modeladmin, request, question)
    except ValidationError as refusal:
        modeladmin.message_user(request, refusal.messages[0], messages.ERROR)
    return _page(modeladmin, request, question)


def _page(
    modeladmin: ModelAdmin, request: HttpRequest, question: Question
) -> HttpResponse:
    last = question.invitation_set.last_number()
    context = {
        "title": gettext("Invitation codes"),
        "question": question,
        "states": _numbers_by_state(question),
        "why_none": _why_none(question),
        "is_local": is_local(request),
        "make_form": MakeForm(initial={"after": last}),
        "void_form": VoidForm(),
        "sheets": list(sheets.find_all(request, question)),
        "minutes": sheets.MINUTES,
    }
    return page(modeladmin, request, "codes", context)


def _make(
    modeladmin: ModelAdmin, request: HttpRequest, question: Question
) -> HttpResponse:
    seed = new_seed()
    numbered = _valid(MakeForm(request.POST)).make(question, seed)
    first, last = numbered[0][0], numbered[-1][0]
    sentence = gettext("Made invitation codes %(first)s to %(last)s.")
    modeladmin.log_change(request, question, sentence % {"first": first, "last": last})
    name = "sheet_csv" if request.POST["make"] == "csv" else "sheet"
    # At an address of its own, so that Back, Forward and Reload bring the same codes.
    response = redirect(f"admin:polls_question_{name}", question.pk, first)
    sheets.remember(response, request, question, seed, numbered)
    return response


def sheet(
    modeladmin: ModelAdmin, request: HttpRequest, question_id: int, first: int
) -> HttpResponse:
    """Show the sheet that begins with this number: it is cut into slips."""
    question = question_to_change(modeladmin, request, question_id)
    found, numbered = _find(request, question, first)
    if not (found and numbered):
        return _too_late(modeladmin, request, question)
    series = QrSeries(_link(request, question, "@"), len(numbered[0][1]))
    title = gettext("Invitation codes %(first)s to %(last)s")
    known = question.language in dict(settings.LANGUAGES)
    context = {
        "title": title % {"first": found.first, "last": found.last},
        "question": question,
        "sheet": found,
        "slips": [(n, spell(code), series.draw(code)) for n, code in numbered],
        "address": address(request, question.get_absolute_url()),
        # The words around it are in the poll's language, where the site speaks it.
        "slip_language": question.language if known else get_language(),
    }
    return page(modeladmin, request, "sheet", context)


def sheet_csv(
    modeladmin: ModelAdmin, request: HttpRequest, question_id: int, first: int
) -> HttpResponse:
    question = question_to_change(modeladmin, request, question_id)
    numbered = _find(request, question, first)[1]
    if not numbered:
        return _too_late(modeladmin, request, question)
    return _csv(request, question, numbered)


def _find(
    request: HttpRequest, question: Question, first: int
) -> tuple[sheets.Sheet | None, Numbered]:
    found = sheets.find(request, question, first)
    return found, found.codes(question) if found else []


def _too_late(
    modeladmin: ModelAdmin, request: HttpRequest, question: Question
) -> HttpResponseRedirect:
    sentence = gettext(
        "Nobody can show these codes again. What is printed stays good; if it is lost, void the numbers and make others."
    )
    modeladmin.message_user(request, sentence, messages.ERROR)
    return redirect("admin:polls_question_codes", question.pk)


def _void(
    modeladmin: ModelAdmin, request: HttpRequest, question: Question
) -> HttpResponse:
    voided, left = _valid(VoidForm(request.POST)).void(question)
    sentence = gettext("Voided: %(number)s.") % {"number": voided}
    if left:
        told = gettext("Used or void before, and left as they were: %(number)s.")
        sentence += " " + told % {"number": left}
    if question.is_open:
        # Secrecy: neither the page nor the log says whether a number has voted.
        sentence = gettext(
            "Done: of these codes, those that have not voted are void now."
        )
    which = request.POST["numbers"]
    _log_void(modeladmin, request, question, which)
    modeladmin.message_user(request, sentence, messages.SUCCESS)
    return redirect("admin:polls_question_codes", question.pk)


def _void_all(
    modeladmin: ModelAdmin, request: HttpRequest, question: Question
) -> HttpResponse:
    """Void all that have not voted, after a page that asks: every slip that is not used yet is waste paper then."""
    if "sure" not in request.POST:
        # As many as on the page before: how many of them are void already is not told while the poll is open.
        used = question.invitation_set.filter(is_used()).count()
        left = question.invitation_set.count() - used
        context = {
            "title": gettext("Void all codes?"),
            "question": question,
            "used": used,
            "left": left,
        }
        return page(modeladmin, request, "void", context)
    voided = question.invitation_set.all().void()
    sentence = ngettext("Voided: %(number)s code.", "Voided: %(number)s codes.", voided)
    if question.is_open:
        # Secrecy: how many there were tells how many of the numbers that were voided before had voted.
        sentence = gettext("Done: no code votes any more that has not voted.")
    _log_void(modeladmin, request, question, gettext("all"))
    sentence = sentence % {"number": voided}
    modeladmin.message_user(request, sentence, messages.SUCCESS)
    return redirect("admin:polls_question_codes", question.pk)


def _log_void(
    modeladmin: ModelAdmin, request: HttpRequest, question: Question, which: str
) -> None:
    sentence = gettext("Voided invitation codes: %(numbers)s.") % {"numbers": which}
    modeladmin.log_change(request, question, sentence)


Form = TypeVar("Form", bound=forms.Form)


def _valid(form: Form) -> Form:
    """Return the form. Raises ValidationError with the first thing that is wrong in it."""
    for errors in form.errors.values():
        raise ValidationError(list(errors))
    return form


def _csv(request: HttpRequest, question: Question, numbered: Numbered) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = f"poll-{question.pk}-codes-{numbered[0][0]}-{numbered[-1][0]}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    rows = csv.writer(response)
    rows.writerow(["number", "code", "link"])
    # In groups, which no spreadsheet takes for a large number.
    rows.writerows([n, spell(c), _link(request, question, c)] for n, c in numbered)
    return response


def _link(request: HttpRequest, question: Question, code: str) -> str:
    return address(request, reverse("polls:code", args=[question.pk, code]))
