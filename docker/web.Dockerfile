# Web server and scorer. Build from the checkout: docker build -f docker/web.Dockerfile -t leaderboard-web .
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

COPY requirements.txt docker/web-packages.txt ./
RUN pip install -r web-packages.txt -c requirements.txt

COPY manage.py pyproject.toml ./
COPY evaluator evaluator
COPY leaderboard leaderboard
COPY templates templates

# Settings are read at start-up and refuse to start without these; collecting static files uses none of them.
RUN DEMO=1 DATA_ROOT=/tmp/build DATABASE_URL=postgresql:///none REDIS_URL=unix:///none STATIC_ROOT=/app/staticfiles \
        python manage.py collectstatic --noinput \
    && rm -rf /tmp/build \
    && useradd --uid 10001 --no-create-home leaderboard \
    && install -d -o leaderboard -g leaderboard -m 0755 /data /data/releases /data/media /data/uploads /data/work \
    && install -d -o leaderboard -g leaderboard -m 0700 /keys

USER 10001
ENV DATA_ROOT=/data KEY_ROOT=/keys STATIC_ROOT=/app/staticfiles
EXPOSE 8000
# Worker processes times threads is the number of database connections that are needed.
CMD ["gunicorn", "leaderboard.wsgi", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "8", "--timeout", "900", \
     "--access-logfile", "-", "--worker-tmp-dir", "/dev/shm"]
