from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from .admin import dashboard
from .serving.decorators import allow
from .serving.log_in import hashes_password, throttled
from .views import (
    accounts,
    ballot,
    exports,
    language,
    oembed,
    preview,
    public,
    results,
    vote,
)

poll_urls = [
    path("", public.index, name="index"),
    path("<int:question_id>/", ballot.detail, name="detail"),
    path("<int:question_id>/vote/", vote.vote, name="vote"),
    path("<int:question_id>/withdraw/", vote.withdraw, name="withdraw"),
    path("<int:question_id>/code/", vote.code, name="code"),
    path("<int:question_id>/code/<str:code>/", vote.code, name="code"),
    path("<int:question_id>/results/", results.results, name="results"),
    path("<int:question_id>/results.json", exports.results_json, name="results_json"),
    path("<int:question_id>/turnout.json", exports.turnout_json, name="turnout_json"),
    path("<int:question_id>/results.csv", exports.results_csv, name="results_csv"),
    path("<int:question_id>/results.svg", exports.results_svg, name="results_svg"),
    path("<int:question_id>/ballots.csv", exports.ballots_csv, name="ballots_csv"),
    path("<int:question_id>/live/", results.live, name="live"),
    path("<int:question_id>/share/", results.share, name="share"),
    path("<int:question_id>/embed/", results.embed, name="embed"),
]
to_ballot = allow("GET", "HEAD")(RedirectView.as_view(pattern_name="polls:detail"))
to_change_password = RedirectView.as_view(pattern_name="change_password")
named_polls: list[URLPattern | URLResolver] = [
    path("polls/", include(poll_urls)),
    path("language/", language.language, name="language"),
    # What a wall prints, for people to type.
    path("<int:question_id>", to_ballot, name="short"),
    path("<int:question_id>/", to_ballot),
    path("oembed", oembed.oembed, name="oembed"),
    path("r/", public.find_receipt, name="find_receipt"),
    # A slash too is something that people type.
    path("r/<path:code>/", public.receipt, name="receipt"),
]
log_in = LoginView.as_view(template_name="polls/login.html")
account_urls = [
    path("login/", throttled(log_in), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path(
        "password/",
        hashes_password(accounts.ChangePassword.as_view()),
        name="change_password",
    ),
    path("password/done/", accounts.password_done, name="password_done"),
    path(
        "set/<uidb64>/<token>/",
        hashes_password(accounts.SetPassword.as_view()),
        name="set_password",
    ),
]
# For organisers alone, as all that the admin's own view lets through.
look = admin.site.admin_view
preview_urls = [
    path("", look(preview.ballot_preview), name="preview"),
    path("results/", look(preview.results_preview), name="preview_results"),
    path("wall/", look(preview.wall_preview), name="preview_wall"),
]

urlpatterns = [
    path("", allow("GET", "HEAD")(RedirectView.as_view(pattern_name="polls:index"))),
    path("", include((named_polls, "polls"))),
    path("accounts/", include(account_urls)),
    path("healthz", public.healthz, name="healthz"),
    path("readyz", public.readyz, name="readyz"),
    path("metrics", public.metrics, name="metrics"),
    path("favicon.ico", RedirectView.as_view(url=static("polls/icon.svg"))),
    path("admin/login/", throttled(admin.site.login)),
    # Django's own lets whoever finds a browser signed in try old passwords without end.
    path("admin/password_change/", to_change_password),
    path("admin/", admin.site.admin_view(dashboard.index)),
    path(
        "admin/numbers.json", admin.site.admin_view(dashboard.numbers), name="numbers"
    ),
    path("admin/polls/question/<int:question_id>/preview/", include(preview_urls)),
    path("admin/", admin.site.urls),
]

handler400 = "polls.serving.errors.bad_request"
handler403 = "polls.serving.errors.permission_denied"
handler404 = "polls.serving.errors.not_found"
handler500 = "polls.serving.errors.server_error"
