from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from . import views
from .errors import allow
from .log_in import throttled

poll_urls = [
    path("", views.index, name="index"),
    path("<int:question_id>/", views.detail, name="detail"),
    path("<int:question_id>/vote/", views.vote, name="vote"),
    path("<int:question_id>/withdraw/", views.withdraw, name="withdraw"),
    path("<int:question_id>/code/", views.code, name="code"),
    path("<int:question_id>/code/<str:code>/", views.code, name="code"),
    path("<int:question_id>/results/", views.results, name="results"),
    path("<int:question_id>/results.json", views.results_json, name="results_json"),
    path("<int:question_id>/results.csv", views.results_csv, name="results_csv"),
    path("<int:question_id>/results.svg", views.results_svg, name="results_svg"),
    path("<int:question_id>/ballots.csv", views.ballots_csv, name="ballots_csv"),
    path("<int:question_id>/live/", views.live, name="live"),
    path("<int:question_id>/share/", views.share, name="share"),
]
named_polls = [
    path("polls/", include(poll_urls)),
    path("r/", views.find_receipt, name="find_receipt"),
    # A slash too is something that people type.
    path("r/<path:code>/", views.receipt, name="receipt"),
]
log_in = LoginView.as_view(template_name="polls/login.html")
account_urls = [
    path("login/", throttled(log_in), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]

urlpatterns = [
    path("", allow("GET", "HEAD")(RedirectView.as_view(pattern_name="polls:index"))),
    path("", include((named_polls, "polls"))),
    path("accounts/", include(account_urls)),
    path("healthz", views.healthz, name="healthz"),
    path("favicon.ico", RedirectView.as_view(url=static("polls/icon.svg"))),
    path("admin/login/", throttled(admin.site.login)),
    path("admin/", admin.site.urls),
]

handler400 = "polls.errors.bad_request"
handler403 = "polls.errors.permission_denied"
handler404 = "polls.errors.not_found"
handler500 = "polls.errors.server_error"
