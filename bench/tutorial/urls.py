"""The tutorial's four addresses with its generic views, and the site's /healthz, which tells when it is up."""

from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import include, path, reverse
from django.utils import timezone
from django.views import generic

from .models import Choice, Question


def published() -> QuerySet[Question]:
    return Question.objects.filter(pub_date__lte=timezone.now())


class IndexView(generic.ListView):
    template_name = "tutorial/index.html"
    context_object_name = "latest_question_list"

    def get_queryset(self) -> QuerySet[Question]:
        return published().order_by("-pub_date")[:5]


class DetailView(generic.DetailView):
    model = Question
    template_name = "tutorial/detail.html"

    def get_queryset(self) -> QuerySet[Question]:
        return published()


class ResultsView(generic.DetailView):
    model = Question
    template_name = "tutorial/results.html"


def vote(request: HttpRequest, question_id: int) -> HttpResponse:
    question = get_object_or_404(Question, pk=question_id)
    try:
        choice = question.choice_set.get(pk=request.POST["choice"])
    except (KeyError, Choice.DoesNotExist):
        context = {
            "question": question,
            "error_message": "You didn't select a choice.",
        }
        return render(request, "tutorial/detail.html", context)
    choice.votes = F("votes") + 1
    choice.save()
    return HttpResponseRedirect(reverse("polls:results", args=[question.pk]))


def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n")


polls = [
    path("", IndexView.as_view(), name="index"),
    path("<int:pk>/", DetailView.as_view(), name="detail"),
    path("<int:pk>/results/", ResultsView.as_view(), name="results"),
    path("<int:question_id>/vote/", vote, name="vote"),
]
urlpatterns = [
    path("polls/", include((polls, "polls"))),
    path("healthz", healthz),
]
