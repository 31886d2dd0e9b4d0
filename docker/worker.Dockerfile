# Validator and runner: everything that touches weights. Build: docker build -f docker/worker.Dockerfile -t leaderboard-worker .
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap \
    && rm -rf /var/lib/apt/lists/*

COPY requirements.txt docker/web-packages.txt docker/worker-packages.txt ./
# One command for all of them: torch and torchvision have to be chosen together.
RUN pip install -r web-packages.txt -r worker-packages.txt -c requirements.txt

COPY manage.py pyproject.toml ./
COPY evaluator evaluator
# The sandboxed child runs the installed evaluator and sees nothing of /app.
RUN pip install --no-deps --no-build-isolation . && rm -rf build ./*.egg-info
COPY leaderboard leaderboard
COPY templates templates

RUN useradd --uid 10001 --no-create-home leaderboard \
    && install -d -o leaderboard -g leaderboard -m 0755 /data /data/releases /data/media /data/uploads /data/work

USER 10001
# "none": this host must not even know where keys are.
ENV DATA_ROOT=/data KEY_ROOT=none
CMD ["python", "manage.py", "work", "--validate", "1", "--evaluate", "1", "--score", "0", "--study", "0"]
