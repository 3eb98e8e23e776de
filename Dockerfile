# The site as a container: docker build -t polls . && docker run -p 8000:8000 -v polls:/data polls
FROM python:3.11-slim-bookworm AS packages
COPY requirements.lock /
# What installs has no business in what runs.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes -r /requirements.lock \
    && /venv/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim-bookworm
# Of a number, which says to whoever starts it that it is not root.
RUN useradd --uid 10001 --home-dir /data --create-home --shell /usr/sbin/nologin polls && chmod 700 /data
COPY --from=packages /venv /venv
WORKDIR /srv/polls
COPY manage.py gunicorn.conf.py LICENSE ./
COPY polls polls
# The root may be read-only where the site runs.
RUN python -m compileall -q polls
# gunicorn notes in a file that its workers live: in memory, which every container has.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 DATA_DIR=/data SQLITE_TMPDIR=/data TMPDIR=/dev/shm
USER 10001
EXPOSE 8000
HEALTHCHECK --timeout=10s --start-period=30s CMD ["python", "-c", \
    "import os; from urllib.request import *; build_opener(ProxyHandler({})).open('http://127.0.0.1:' + os.environ.get('PORT', '8000') + '/healthz', timeout=9)"]
CMD ["gunicorn", "polls.asgi", "-k", "uvicorn.workers.UvicornWorker"]
