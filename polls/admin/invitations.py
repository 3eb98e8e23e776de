"""Invitation codes on paper: how an organiser makes them, has them printed, and voids the lost ones.

The codes themselves are in the answer to the request that makes them, and nowhere else.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias, TypeVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.functional import lazy
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import phrases
from ..codes import read_code, spell
from ..models import Question, Voters, is_used
from ..qr import QrSeries
from ..site_url import address, is_local
from ..voting.identity import make_codes, voter_key

ModelAdmin: TypeAlias = "admin.ModelAdmin[Question]"

MAX_CODES = 10_000

# Codes with the numbers that stand beside them on the sheet.
Numbered = list[tuple[int, str]]


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

    def make(self, question: Question) -> Numbered:
        """Return the new codes with their numbers. Raises ValidationError where none can be made."""
        reason = _why_none(question)
        if reason:
            raise ValidationError(reason)
        with transaction.atomic():
            question.choice_set.lock()
            last = question.invitation_set.last_number()
            if last != self.cleaned_data["after"]:
                sentence = gettext(
                    "Codes up to number %(number)s were made since this page was loaded. "
                    "If that was not you, or you want more, send the form again."
                )
                raise ValidationError(sentence % {"number": last})
            return make_codes(question, self.cleaned_data["number"])


class VoidForm(forms.Form):
    numbers = forms.CharField(
        max_length=1000,
        help_text=_("Such as 3, 17-20; or the word all, for all that have not voted."),
        error_messages={
            "required": _("Say which codes are to be void, such as 3, 17-20."),
            "max_length": _("Void fewer codes at a time."),
        },
    )

    def void(self, question: Question) -> tuple[int, int]:
        """Return how many codes were voided, and how many left: used, or void already."""
        text = self.cleaned_data["numbers"].lower()
        codes = question.invitation_set.all()
        if text != "all":
            numbers = _read_numbers(text, codes.last_number())
            codes = codes.filter(number__in=numbers)
        voided = codes.void()
        return voided, 0 if text == "all" else codes.count() - voided


def _read_numbers(text: str, last: int) -> set[int]:
    numbers: set[int] = set()
    for part in re.split(r"[,\s]+", re.sub(r"\s*[-–]\s*", "-", text).strip(", ")):
        found = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part)
        if not found:
            sentence = gettext(
                "“%(text)s” is not a number. Use numbers, such as 3, 17-20."
            )
            raise ValidationError(sentence % {"text": part})
        first, end = int(found[1]), int(found[2] or found[1])
        if not 1 <= first <= end <= last:
            sentence = gettext(
                "There is no code %(text)s: the last number is %(number)s."
            )
            raise ValidationError(sentence % {"text": part, "number": last})
        numbers.update(range(first, end + 1))
    return numbers


def _numbers_by_state(question: Question) -> list[tuple[str, int, str]]:
    """Return "Unused", "Used" and "Void", each with how many codes and which numbers.

    Secrecy: while the poll is open, only what the number of ballots tells
    anyhow. Whoever saw which number is used now, and which total has changed,
    would know a vote. How many are void would tell of each number, for one can
    be voided alone.
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
    """Show how many codes there are; make, hand out and void them."""
    question = get_object_or_404(Question, pk=question_id)
    if not modeladmin.has_change_permission(request, question):
        raise PermissionDenied
    if question.voters != Voters.CODES:
        sentence = gettext(
            "This question takes no invitation codes. Change who votes first."
        )
        modeladmin.message_user(request, sentence, messages.ERROR)
        return redirect("admin:polls_question_change", question.pk)
    try:
        if "make" in request.POST:
            return _make(modeladmin, request, question)
        if "codes" in request.POST:
            return _csv(request, question, _find(question, request.POST["codes"]))
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
        "states": _numbers_by_state(question),
        "why_none": _why_none(question),
        "is_local": is_local(request),
        "make_form": MakeForm(initial={"after": last}),
        "void_form": VoidForm(),
    }
    return _render(modeladmin, request, question, "codes", context)


def _render(
    modeladmin: ModelAdmin,
    request: HttpRequest,
    question: Question,
    name: str,
    context: Mapping[str, object],
) -> HttpResponse:
    shared = modeladmin.admin_site.each_context(request)
    shared |= {"opts": modeladmin.opts, "question": question}
    return render(request, f"admin/polls/question/{name}.html", {**shared, **context})


def _make(
    modeladmin: ModelAdmin, request: HttpRequest, question: Question
) -> HttpResponse:
    numbered = _valid(MakeForm(request.POST)).make(question)
    first, last = numbered[0][0], numbered[-1][0]
    modeladmin.log_change(
        request, question, f"Made invitation codes {first} to {last}."
    )
    if request.POST["make"] == "csv":
        return _csv(request, question, numbered)
    series = QrSeries(_link(request, question, "@"), len(numbered[0][1]))
    context = {
        "title": gettext("Invitation codes %(first)s to %(last)s")
        % {"first": first, "last": last},
        # The sheet is cut into these.
        "slips": [(n, spell(code), series.draw(code)) for n, code in numbered],
        "codes": " ".join(code for _, code in numbered),
        "address": address(request, question.get_absolute_url()),
    }
    return _render(modeladmin, request, question, "sheet", context)


def _void(
    modeladmin: ModelAdmin, request: HttpRequest, question: Question
) -> HttpResponse:
    voided, left = _valid(VoidForm(request.POST)).void(question)
    sentence = gettext("Voided: %(number)s.") % {"number": voided}
    if left:
        told = gettext("Used or void before, and left as they were: %(number)s.")
        sentence = f"{sentence} {told % {'number': left}}"
    if question.is_open:
        # Secrecy: neither the page nor the log says whether a number has voted.
        sentence = gettext(
            "Done: of these codes, those that have not voted are void now."
        )
    which = request.POST["numbers"]
    modeladmin.log_change(request, question, f"Voided invitation codes: {which}.")
    modeladmin.message_user(request, sentence, messages.SUCCESS)
    return redirect("admin:polls_question_codes", question.pk)


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


def _find(question: Question, text: str) -> Numbered:
    """Return the codes of a sheet with their numbers. Raises ValidationError unless all are the question's."""
    numbers = dict(question.invitation_set.values_list("voter_key", "number"))
    codes = list(map(read_code, text.split()))
    # Where voters are forgotten there are none.
    keys = [voter_key(question, f"code:{code}") for code in codes if numbers]
    found = [(numbers.get(key, 0), code) for key, code in zip(keys, codes)]
    if not found or not all(number for number, _ in found):
        raise ValidationError(
            gettext("These are not codes of this poll. Use the button on their sheet.")
        )
    return found


def _link(request: HttpRequest, question: Question, code: str) -> str:
    return address(request, reverse("polls:code", args=[question.pk, code]))
