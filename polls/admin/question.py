import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from functools import partial

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import display_for_field
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html

from ..audience import SEES_ALL
from ..kinds import MOST_RANKS, Kind
from ..models import (
    Ballot,
    Choice,
    Invitation,
    Question,
    QuestionQuerySet,
    Results,
)
from ..serving.decorators import allow
from .invitations import codes

admin.site.site_header = admin.site.site_title = "Polls administration"
admin.site.index_title = "Organise"


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin
    ) -> list[tuple[str, str]]:
        return [("scheduled", "Scheduled"), ("open", "Open"), ("closed", "Closed")]

    def queryset(
        self, request: HttpRequest, queryset: QuestionQuerySet
    ) -> QuestionQuerySet | None:
        if self.value() in {"scheduled", "open", "closed"}:
            return getattr(queryset, self.value())()
        return None


class QuestionForm(forms.ModelForm):
    # What voters were told, and the form only shows: names, by QuestionAdmin.get_form().
    frozen: Collection[str] = ()

    class Meta:
        # They begin with what the model says, and add what this form does.
        help_texts = {
            "min_choices": "A ballot with fewer choices is refused. Empty is 1.",
            "max_choices": "A ballot with more choices is refused. Leave it empty for as many as there are; "
            f"a ranking has room for {MOST_RANKS}.",
        }

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        if "pub_date" in self.fields:
            # Who posts a date cannot also say what it was before.
            self.fields["pub_date"].show_hidden_initial = False
        if "min_choices" in self.fields:
            self.fields["min_choices"].required = False
        for name in self.frozen:
            if name in self.fields and not self._was_sent(name):
                del self.fields[name]
        if self.frozen and "results" in self.fields:
            # The others are refused by the model, with a sentence.
            stricter = Results.values[Results.values.index(self.instance.results) :]
            field = self.fields["results"]
            field.widget.choices = [c for c in field.choices if c[0] in stricter]

    def _was_sent(self, name: str) -> bool:
        """Tell whether a frozen field was posted: by a page from before the first ballot, or forged."""
        widget = self.fields[name].widget
        if isinstance(widget, forms.CheckboxInput):
            # One that is off sends nothing: the others tell whether the page had it.
            return name in self.data or {"question_text", "kind"} <= self.data.keys()
        return not widget.value_omitted_from_data(self.data, self.files, name)

    def clean(self) -> None:
        super().clean()
        # Widgets have no microseconds: a date that stays must stay to the last of them.
        for name in {"pub_date", "closes_at"}.difference(self.changed_data):
            if name in self.cleaned_data:
                self.cleaned_data[name] = getattr(self.instance, name)
        loaded = self.data.get("loaded")
        has_other_choices = bool(loaded) and self._has_other_choices()
        if has_other_choices or loaded and loaded != self.instance.version:
            told = self._what_is_stored(has_other_choices)
            self.add_error(None, ValidationError(list(told)))
        for name in set(self.frozen).intersection(self.errors):
            # It is not even sound, and has no place on the page to say so.
            del self.errors[name]
            self.add_error(None, FIXED.get(name) or Question.why_frozen(name))
        if "min_choices" in self.fields:
            self._clean_numbers(self.cleaned_data.get("kind", self.instance.kind))

    def _has_other_choices(self) -> bool:
        """Tell whether choices were added or removed since the page was loaded: its rows are of those from before."""
        if _is_promised(self.instance):
            return False
        stored = {str(choice.pk) for choice in self.instance.choice_set.all()}
        return set(self._sent("id")) != stored

    def _sent(self, name: str) -> list[str]:
        """Return what was sent of the choices under this name, where it is not empty."""
        key = re.compile(rf"choice_set-\d+-{name}")
        return [value for k, value in self.data.items() if value and key.fullmatch(k)]

    def _what_is_stored(self, has_other_choices: bool) -> Iterator[str]:
        """Say what another organiser has stored meanwhile, where it is not what was typed."""
        told = (
            "Another organiser has changed this poll since you loaded it, so nothing was saved. "
            "Below is what you typed"
        )
        if has_other_choices:
            yield format_html(
                "{}, to copy it: choices were added or removed, so this page cannot be saved. To change the poll, "
                '<a href="{}" target="_blank">open it anew</a>.',
                told,
                reverse("admin:polls_question_change", args=[self.instance.pk]),
            )
            # The page has rows for the choices that there are.
            yield f"You typed as choices: {', '.join(self._sent('choice_text'))}"
        else:
            yield f"{told}: save again to have it so, or load the page anew to begin with what is stored now."
        for name in self.changed_data:
            field, value = Question._meta.get_field(name), self.initial[name]
            # Django shows a picture.
            shown = "yes" if value is True else "no" if value is False else ""
            shown = shown or display_for_field(value, field, "empty")
            yield f"Stored now as “{field.verbose_name.capitalize()}”: {shown}"
        choices = self.instance.choice_set.order_by("pk")
        yield f"Stored now as choices: {', '.join(map(str, choices))}"

    def _clean_numbers(self, kind: str) -> None:
        least, most = "min_choices", "max_choices"
        if kind == Kind.ONE:
            for name in (least, most):
                # They are hidden.
                self.errors.pop(name, None)
            self.cleaned_data |= {least: 1, most: None}
        elif least not in self.errors:
            self.cleaned_data[least] = self.cleaned_data[least] or 1
        if kind == Kind.RANKED:
            for name in (least, most):
                if (self.cleaned_data.get(name) or 0) > MOST_RANKS:
                    self.add_error(name, f"A ranking has room for {MOST_RANKS}.")

    def _post_clean(self) -> None:
        super()._post_clean()
        if self.errors:
            # The page that says what is wrong shows what voters were told, not what was posted.
            for name in self.frozen:
                setattr(self.instance, name, self.initial[name])


def _version(question: Question) -> str:
    """Return a digest of all that the page of a question shows and saves. The form carries it, as voters' do the wording."""
    values = [getattr(question, f.name) for f in question._meta.fields if f.editable]
    choices = question.choice_set.order_by("pk").values_list("pk", "choice_text")
    return hashlib.sha256(repr([values, *choices]).encode()).hexdigest()[:16]


class ChoiceForm(forms.ModelForm):
    def hand_clean_DELETE(self) -> None:
        """Leave it to ChoiceFormSet.clean(): a choice with ballots is not deleted."""


class ChoiceFormSet(forms.BaseInlineFormSet):
    default_error_messages = forms.BaseInlineFormSet.default_error_messages | {
        "too_few_forms": "A question needs at least %(num)d choices."
    }

    def clean(self) -> None:
        if _is_promised(self.instance):
            if self._sends_a_change():
                raise ValidationError(
                    "The choices cannot change any more. They are what people have voted on: "
                    "duplicate the question instead."
                )
            return
        if any("id" in errors for errors in self.errors):
            # The field is hidden, and a row without a choice is not even shown.
            raise ValidationError(
                "A choice is not there any more. Open the question anew."
            )
        kept = [form for form in self.forms if not self._should_delete_form(form)]
        texts = [form.cleaned_data.get("choice_text") for form in kept]
        texts = [text for text in texts if text]
        if len(set(texts)) < len(texts):
            raise ValidationError("Two choices are the same. Change or remove one.")
        if self.instance.kind != Kind.ONE and self.instance.min_choices > len(texts):
            raise ValidationError(
                f"A ballot needs at least {self.instance.min_choices} choices, and there are {len(texts)}. "
                "Add choices, or lower “At least”."
            )

    def _sends_a_change(self) -> bool:
        """Tell whether the page sent anything about the choices but what they are.

        The forms of choices that cannot change read nothing: a page from before
        the first ballot, or a forged one, shows in the data alone.
        """
        texts = {
            str(pk): text for pk, text in self.queryset.values_list("pk", "choice_text")
        }
        for key, value in self.data.items():
            if not key.startswith(f"{self.prefix}-"):
                continue
            form, _, name = key.rpartition("-")
            if name == "DELETE":
                return True
            now = texts.get(self.data.get(f"{form}-id"), "")
            if name == "choice_text" and value.strip() != now.strip():
                return True
        return False


class ChoiceInline(admin.TabularInline):
    model = Choice
    formset = ChoiceFormSet
    min_num = 2
    extra = 1
    # The running total is the ballots' business, nobody's to write.
    readonly_fields = ["votes"]

    def get_formset(
        self, request: HttpRequest, obj: Question | None = None, **kwargs: object
    ) -> type[forms.BaseInlineFormSet]:
        # What has ballots is not counted again: there may be one choice, from an older version.
        kwargs["validate_min"] = not _is_promised(obj)
        formset = super().get_formset(request, obj, **kwargs)
        formset.form = type("ChoiceForm", (ChoiceForm, formset.form), {})
        return formset

    # The choices are part of the question: who saves the one saves the others, and no form shows what it does not save.

    def has_view_permission(
        self, request: HttpRequest, obj: Question | None = None
    ) -> bool:
        return any(map(request.user.has_perm, SEES_ALL))

    def has_change_permission(
        self, request: HttpRequest, obj: Question | None = None
    ) -> bool:
        action = "change" if obj else "add"
        may_save = request.user.has_perm(f"polls.{action}_question")
        return may_save and not _is_promised(obj)

    has_add_permission = has_delete_permission = has_change_permission


# What cannot change once a ballot is cast, beside Question.FROZEN, and only sometimes.
FIXED = {
    "closes_at": "The poll has closed and its count is public: duplicate the question instead.",
    "may_change": "That votes are final cannot be taken back, now that people have voted.",
}
PROMISED = (
    "People have voted: what they were told stays. Votes can become final, results can be shown to fewer, and nothing "
    "else can change but an end that is still to come. For another wording or other choices, duplicate the question."
)


def _is_promised(question: Question | None) -> bool:
    """Tell whether a ballot was cast on the question of a page, as QuestionAdmin.get_object() found it."""
    return getattr(question, "promised", False)


class QuestionList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """Count the ballots of this page alone, in a query of its own: the list's would count those of all pages before too."""
        super().get_results(request)
        ids = list(self.result_list.values_list("pk", flat=True))
        shown = Question.objects.with_ballots().in_bulk(ids)
        self.result_list = [shown[pk] for pk in ids if pk in shown]


@admin.register(Question)
class QuestionAdmin(admin.ModelAdmin):
    form = QuestionForm
    fieldsets = [
        (None, {"fields": ["question_text"]}),
        ("Dates", {"fields": ["pub_date", "closes_at"]}),
        ("Kind of question", {"fields": ["kind", ("min_choices", "max_choices")]}),
        ("Who votes", {"fields": ["voters", "may_change", "receipts"]}),
        ("Who sees", {"fields": ["results"]}),
    ]
    inlines = [ChoiceInline]
    list_display = [
        "question_text",
        "state",
        "ballots",
        "pub_date",
        "closes_at",
        "kind_of_question",
        "who_votes",
        "was_published_recently",
    ]
    list_filter = [StateFilter, "kind", "voters", "pub_date"]
    search_fields = ["question_text"]
    # A search need not count all other questions too.
    show_full_result_count = False
    ordering = ["-pub_date", "-id"]
    actions = ["close_now", "duplicate"]

    class Media:
        css = {"all": ["polls/admin.css"]}

    def get_changelist(
        self, request: HttpRequest, **kwargs: object
    ) -> type[ChangeList]:
        return QuestionList

    @admin.display(description="Kind", ordering="kind")
    def kind_of_question(self, question: Question) -> str:
        return question.get_kind_display().partition(" (")[0]

    @admin.display(description="Who votes", ordering="voters")
    def who_votes(self, question: Question) -> str:
        return question.get_voters_display().partition(",")[0]

    @admin.display(description="Ballots")
    def ballots(self, question: Question) -> int:
        return question.ballots

    @admin.display(description="State")
    def state(self, question: Question) -> str:
        return question.state().capitalize()

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Question | None:
        """Find the question, and whether it is promised and open; to be saved, with its choices locked.

        A first ballot under way is waited for, and a later one waits until the
        page is saved: no wording changes under a ballot.
        """
        question = super().get_object(request, object_id, from_field)
        # Only where something is saved there is a transaction.
        if question and request.method == "POST" and connection.in_atomic_block:
            question.choice_set.lock()
            # As it is now: another organiser may have held the lock.
            question = super().get_object(request, object_id, from_field)
        if question:
            question.promised = question.has_been_voted_on
            # As it is stored: a form that is refused leaves what was posted in it.
            question.can_close = question.is_open
            question.version = _version(question)
        return question

    def get_readonly_fields(
        self, request: HttpRequest, obj: Question | None = None
    ) -> list[str]:
        return list(self._fixed(obj))

    def _fixed(self, question: Question | None) -> dict[str, str]:
        """Return the fields that can only be read, and why."""
        if not _is_promised(question):
            return {}
        fixed = {name: f"{why}." for name, why in Question.FROZEN.items()}
        if question.state() == "closed":
            fixed["closes_at"] = FIXED["closes_at"]
        if not question.may_change:
            fixed["may_change"] = FIXED["may_change"]
        return fixed

    def get_fieldsets(
        self, request: HttpRequest, obj: Question | None = None
    ) -> list[tuple[str | None, dict[str, object]]]:
        fieldsets = [(name, dict(options)) for name, options in self.fieldsets]
        if _is_promised(obj):
            fieldsets[0][1]["description"] = PROMISED
        if obj and obj.kind == Kind.ONE:
            if _is_promised(obj) or not self.has_change_permission(request, obj):
                # Where the kind can be chosen, admin.css hides them.
                fieldsets[2][1]["fields"] = ["kind"]
        return fieldsets

    def get_form(
        self,
        request: HttpRequest,
        obj: Question | None = None,
        change: bool = False,
        **kwargs: object,
    ) -> type[forms.ModelForm]:
        fixed = self._fixed(obj)
        kwargs["help_texts"] = QuestionForm.Meta.help_texts | fixed
        if fixed and self.has_change_permission(request, obj):
            # Django would not look at what is posted for a read-only field, and this is to be refused.
            kwargs["exclude"] = []
        form = super().get_form(request, obj, change, **kwargs)
        form.frozen = [name for name in fixed if name in form.base_fields]
        return form

    def save_model(
        self, request: HttpRequest, obj: Question, form: forms.ModelForm, change: bool
    ) -> None:
        # What the form changed, and Question.clean() with it.
        changed = [n for n in form.initial if getattr(obj, n) != form.initial[n]]
        obj.save(update_fields=changed if change else None)

    def save_related(
        self,
        request: HttpRequest,
        form: forms.ModelForm,
        formsets: list[forms.BaseInlineFormSet],
        change: bool,
    ) -> None:
        super().save_related(request, form, formsets, change)
        if change and any(formset.new_objects for formset in formsets):
            form.instance.note_rewording()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        copy = allow("POST")(view(self.duplicate_one))
        invite = allow("GET", "HEAD", "POST")(view(partial(codes, self)))
        own = [
            path("<int:question_id>/duplicate/", copy, name="polls_question_copy"),
            path("<int:question_id>/codes/", invite, name="polls_question_codes"),
        ]
        return own + super().get_urls()

    def has_duplicate_permission(self, request: HttpRequest) -> bool:
        """Tell whether to offer a copy: who could not edit it would have one that nobody wants."""
        return self.has_add_permission(request) and self.has_change_permission(request)

    def duplicate_one(self, request: HttpRequest, question_id: int) -> HttpResponse:
        question = get_object_or_404(Question, pk=question_id)
        if not self.has_duplicate_permission(request):
            raise PermissionDenied
        copy = question.duplicate()
        self.log_addition(request, copy, f"Duplicated from question {question.pk}.")
        # A poll that was closed at once has a copy that hardly opens.
        until = copy.closes_at and date_format(
            timezone.localtime(copy.closes_at), "DATETIME_FORMAT"
        )
        closes = f"closes {until}" if until else "stays open"
        sentence = f"This is the copy. It opens in a week and {closes}; edit it, then set its dates."
        self.message_user(request, sentence, messages.SUCCESS)
        return redirect("admin:polls_question_change", copy.pk)

    def get_view_on_site_url(self, obj: Question | None = None) -> str | None:
        # Before it is published there is nothing to view.
        if obj is None or obj.state() == "scheduled":
            return None
        return super().get_view_on_site_url(obj)

    def get_deleted_objects(
        self, objs: Iterable[Question], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Count what goes along: naming every ballot would be long, and show who holds which receipt."""
        names = [str(question) for question in objs]
        ids = [question.pk for question in objs]
        counts = {
            "questions": len(ids),
            "choices": Choice.objects.filter(question__in=ids).count(),
            "ballots": Ballot.objects.filter(question__in=ids).count(),
            "invitation codes": Invitation.objects.filter(question__in=ids).count(),
        }
        return names, counts, set(), []

    @admin.action(description="Close selected questions now", permissions=["change"])
    def close_now(
        self, request: HttpRequest, queryset: QuestionQuerySet
    ) -> HttpResponse | None:
        """Close what is open, after a page that asks: once people have voted, it cannot be undone."""
        selected = list(queryset.with_ballots())
        to_close = [question for question in selected if question.is_open]
        left = len(selected) - len(to_close)
        if to_close and "sure" not in request.POST:
            return self._close_page(request, to_close, left)
        closed = [question for question in to_close if question.close()]
        for question in closed:
            self.log_change(request, question, "Closed now.")
        if closed:
            sentence = f"Closed: {len(closed)}. No vote counts any more."
            self.message_user(request, sentence, messages.SUCCESS)
        left += len(to_close) - len(closed)
        if left:
            sentence = f"Not open, and left as they were: {left}."
            self.message_user(request, sentence, messages.WARNING)
        return None

    def _close_page(
        self, request: HttpRequest, questions: list[Question], left: int
    ) -> HttpResponse:
        context = self.admin_site.each_context(request) | {
            "title": "Close now?",
            "opts": self.opts,
            "questions": questions,
            "left": left,
        }
        return render(request, "admin/polls/question/close.html", context)

    @admin.action(description="Duplicate selected questions", permissions=["duplicate"])
    def duplicate(self, request: HttpRequest, queryset: QuerySet[Question]) -> None:
        copies = [question.duplicate() for question in queryset]
        sentence = (
            f"Duplicated without their votes: {len(copies)}. "
            "The copies open in a week, for as long as the originals; edit them, then set their dates."
        )
        self.message_user(request, sentence, messages.SUCCESS)
