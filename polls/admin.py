from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.forms import BaseInlineFormSet
from django.http import HttpRequest

from .models import Choice, Question, QuestionQuerySet

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


class ChoiceFormSet(BaseInlineFormSet):
    default_error_messages = BaseInlineFormSet.default_error_messages | {
        "too_few_forms": "A question needs at least %(num)d choices."
    }


class ChoiceInline(admin.TabularInline):
    model = Choice
    formset = ChoiceFormSet
    min_num = 2
    extra = 1
    # The running total is the ballots' business, nobody's to write.
    readonly_fields = ["votes"]

    def get_formset(
        self, request: HttpRequest, obj: Question | None = None, **kwargs: object
    ) -> type[BaseInlineFormSet]:
        return super().get_formset(request, obj, validate_min=True, **kwargs)


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

    @admin.action(description="Close selected questions now", permissions=["change"])
    def close_now(self, request: HttpRequest, queryset: QuerySet[Question]) -> None:
        closed = sum(question.close() for question in queryset)
        left = len(queryset) - closed
        self.message_user(request, f"Closed: {closed}.", messages.SUCCESS)
        if left:
            sentence = f"Left as they were, because they were not open: {left}."
            self.message_user(request, sentence, messages.WARNING)

    @admin.action(description="Duplicate selected questions", permissions=["add"])
    def duplicate(self, request: HttpRequest, queryset: QuerySet[Question]) -> None:
        copies = [question.duplicate() for question in queryset]
        sentence = (
            f"Duplicated without their votes: {len(copies)}. "
            "The copies are scheduled a week ahead; edit them, then set their date."
        )
        self.message_user(request, sentence, messages.SUCCESS)
