from collections.abc import Iterable

from django import forms
from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from .models import Ballot, Choice, Question, QuestionQuerySet

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


class ChoiceForm(forms.ModelForm):
    def hand_clean_DELETE(self) -> None:
        """Leave it to ChoiceFormSet.clean(): the admin's own sentence would name every ballot."""


class ChoiceFormSet(forms.BaseInlineFormSet):
    default_error_messages = forms.BaseInlineFormSet.default_error_messages | {
        "too_few_forms": "A question needs at least %(num)d choices."
    }

    def save_existing(
        self, form: forms.ModelForm, obj: Choice, commit: bool = True
    ) -> Choice:
        # Only what was changed: the total that was loaded with the form is old by now.
        if commit:
            obj.save(update_fields=form.changed_data)
        return obj

    def clean(self) -> None:
        deleted = [form for form in self.forms if self._should_delete_form(form)]
        for choice in [form.instance for form in deleted if form.instance.pk]:
            if choice.mark_set.exists():
                raise forms.ValidationError(
                    f"“{choice}” has votes and cannot be removed. Duplicate the question instead."
                )
        kept = [form for form in self.forms if form not in deleted]
        texts = [form.cleaned_data.get("choice_text") for form in kept]
        texts = [text for text in texts if text]
        if len(set(texts)) < len(texts):
            raise forms.ValidationError(
                "Two choices are the same. Change or remove one."
            )


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
        formset = super().get_formset(request, obj, validate_min=True, **kwargs)
        formset.form = type("ChoiceForm", (ChoiceForm, formset.form), {})
        return formset


@admin.register(Question)
class QuestionAdmin(admin.ModelAdmin):
    fieldsets = [
        (None, {"fields": ["question_text"]}),
        ("Dates", {"fields": ["pub_date", "closes_at"]}),
    ]
    inlines = [ChoiceInline]
    list_display = [
        "question_text",
        "state",
        "pub_date",
        "closes_at",
        "ballots",
        "was_published_recently",
    ]
    list_filter = [StateFilter, "pub_date"]
    search_fields = ["question_text"]
    date_hierarchy = "pub_date"
    ordering = ["-pub_date", "-id"]
    actions = ["close_now", "duplicate"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Question]:
        # A subquery is worked out for the rows of one page, a join for all.
        votes = Choice.objects.filter(question=OuterRef("pk")).order_by()
        total = votes.values("question").annotate(total=Sum("votes")).values("total")
        return (
            super().get_queryset(request).annotate(ballots=Coalesce(Subquery(total), 0))
        )

    @admin.display(description="Ballots")
    def ballots(self, question: Question) -> int:
        return question.ballots

    @admin.display(description="State")
    def state(self, question: Question) -> str:
        return question.state().capitalize()

    def save_model(
        self, request: HttpRequest, obj: Question, form: forms.ModelForm, change: bool
    ) -> None:
        obj.save(update_fields=form.changed_data if change else None)

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
        }
        return names, counts, set(), []

    @admin.action(description="Close selected questions now", permissions=["change"])
    def close_now(self, request: HttpRequest, queryset: QuerySet[Question]) -> None:
        closed = [question for question in queryset if question.close()]
        for question in closed:
            self.log_change(request, question, "Closed now.")
        left = len(queryset) - len(closed)
        if closed:
            sentence = f"Closed: {len(closed)}. No vote counts any more."
            self.message_user(request, sentence, messages.SUCCESS)
        if left:
            sentence = f"Not open, and left as they were: {left}."
            self.message_user(request, sentence, messages.WARNING)

    @admin.action(description="Duplicate selected questions", permissions=["add"])
    def duplicate(self, request: HttpRequest, queryset: QuerySet[Question]) -> None:
        copies = [question.duplicate() for question in queryset]
        sentence = (
            f"Duplicated without their votes: {len(copies)}. "
            "The copies open in a week, for as long as the originals; edit them, then set their dates."
        )
        self.message_user(request, sentence, messages.SUCCESS)
