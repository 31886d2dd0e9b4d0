"""Releases, boards and packs as JSON. In: addresses and query strings; out: the same numbers that the pages show."""

from typing import Any

from django.http import FileResponse, Http404, HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluator.answers import Protocol
from evaluator.release.info import info_from_json
from evaluator.release.schema import FACETS, Split
from leaderboard import packs, permissions
from leaderboard.api.schema import refusals
from leaderboard.api.serializers import BoardNameSerializer, BoardSerializer, ReleaseSerializer
from leaderboard.boards import snapshots
from leaderboard.boards.names import board_title, default_split
from leaderboard.boards.rows import row_as_api
from leaderboard.boards.view import KINDS, read_view, shown_rows
from leaderboard.models import Release

VIEW_PARAMETERS = [
    OpenApiParameter("split", enum=list(Split), description="default: test"),
    *(OpenApiParameter(facet, many=True, description=f"only items of this {facet}; repeatable") for facet in FACETS),
    OpenApiParameter("kind", enum=KINDS),
    OpenApiParameter("protocol", enum=list(Protocol)),
    OpenApiParameter("verified", enum=["0", "1"]),
    OpenApiParameter("sort", description="rank, model, score, n or a task's slug"),
    OpenApiParameter("order", enum=["asc", "desc"]),
]


class ReleasesView(APIView):
    """All releases that the asker may know of."""

    @extend_schema(responses={200: ReleaseSerializer(many=True), **refusals(401, 429)}, operation_id="releases")
    def get(self, request: Request) -> Response:
        """All releases, the latest first."""
        rows = permissions.visible_to(request.user, Release.objects.select_related("key_revision"))
        return Response([_release(row) for row in rows])


class ReleaseView(APIView):
    """One release."""

    @extend_schema(responses={200: ReleaseSerializer, **refusals(401, 404, 429)}, operation_id="release")
    def get(self, request: Request, release: str) -> Response:
        """Splits with their sizes and packs, and tasks."""
        return Response(_release(permissions.get_release(request.user, release)))


class BoardsView(APIView):
    """The boards of a release."""

    @extend_schema(responses={200: BoardNameSerializer(many=True), **refusals(401, 404, 429)}, operation_id="boards")
    def get(self, request: Request, release: str) -> Response:
        """Every board by name."""
        found = permissions.get_release(request.user, release)
        info = info_from_json(found.info)
        names = snapshots.board_names(found, default_split(info))
        return Response([
            {"board": name, "title": board_title(name, info), "url": reverse("api-board", args=[found.slug, name])}
            for name in names
        ])  # fmt: skip


class BoardView(APIView):
    """One board."""

    @extend_schema(
        parameters=VIEW_PARAMETERS, responses={200: BoardSerializer, **refusals(400, 401, 404, 429)},
        operation_id="board",
    )  # fmt: skip
    def get(self, request: Request, release: str, board: str) -> Response:
        """The ranked rows; facets rank anew, kind, protocol and verified hide rows and change no rank."""
        found = permissions.get_release(request.user, release)
        view = read_view(request.query_params, info_from_json(found.info), found.summary)
        try:
            table = snapshots.get_board(found, view.split, board, view.facets)
        except snapshots.NoSuchBoard as absent:
            raise Http404(str(absent)) from absent
        return Response({
            "release": found.slug, "split": view.split, "board": board, "facets": view.facets, "metric": table.metric,
            "resolvable_difference": table.resolvable_difference, "chance": table.chance, "majority": table.majority,
            "rows": [row_as_api(table, row) for row in shown_rows(table, view)],
        })  # fmt: skip


class PackView(APIView):
    """A question pack."""

    @extend_schema(
        responses={(200, "application/zip"): OpenApiTypes.BINARY, **refusals(401, 404, 429)}, operation_id="pack"
    )
    def get(self, request: Request, release: str, split: str) -> HttpResponseBase:
        """The pack of an open split as a zip file; the sealed split has none."""
        found = permissions.get_release(request.user, release)
        path = packs.pack_path(found, split)
        if path is None:
            raise Http404("there is no such pack")
        return FileResponse(path.open("rb"), as_attachment=True, filename=f"{found.slug}-{split}.zip")


def _release(row: Release) -> dict[str, Any]:
    split = default_split(info_from_json(row.info))
    return {
        "slug": row.slug, "name": row.name, "version": row.version, "hash": row.hash, "public_items": row.public_items,
        "key_revision": row.key_revision.number if row.key_revision else None, "tasks": row.summary[split]["tasks"],
        "splits": [
            {"name": name, "pack": _pack_url(row, name), **sizes} for name, sizes in sorted(row.info["splits"].items())
        ],
    }  # fmt: skip


def _pack_url(row: Release, split: str) -> str | None:
    return reverse("api-pack", args=[row.slug, split]) if packs.pack_path(row, split) else None
