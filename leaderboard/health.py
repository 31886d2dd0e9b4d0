"""What a load balancer and a metrics collector ask."""

import secrets

from django.conf import settings
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django_prometheus.exports import ExportToDjangoView


def healthz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers. Redis is not asked: without it the site still takes submissions."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics for whoever holds METRICS_TOKEN; to everyone else the page does not exist."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not settings.METRICS_TOKEN or not secrets.compare_digest(given.encode(), settings.METRICS_TOKEN.encode()):
        raise Http404
    return ExportToDjangoView(request)
