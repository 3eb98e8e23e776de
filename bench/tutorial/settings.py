"""What startproject sets, for the polls app of Django's tutorial: what the site is compared with."""

import os
from pathlib import Path

import dj_database_url

FOLDER = Path(os.environ["DATA_DIR"])
SECRET_KEY = "of a benchmark, which keeps no secrets"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "bench.tutorial.urls"
USE_TZ = True
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "bench.tutorial",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
# SQLite with Django's defaults. On a server nobody opens a connection for each request, so there it is kept.
DATABASES = {
    "default": dj_database_url.config(
        default=f"sqlite:///{FOLDER / 'polls.sqlite3'}",
        conn_max_age=600 if "DATABASE_URL" in os.environ else 0,
    )
}
