"""Models as JSON."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leaderboard import permissions
from leaderboard.api.schema import refusals
from leaderboard.api.serializers import ModelSerializer
from leaderboard.models import Model


class ModelsView(generics.ListAPIView):
    """All models that the asker may know of, a page at a time."""

    serializer_class = ModelSerializer

    def get_queryset(self) -> QuerySet[Model]:
        """By slug."""
        return permissions.visible_to(self.request.user, Model.objects.select_related("base")).order_by("slug")

    @extend_schema(responses={200: ModelSerializer(many=True), **refusals(401, 429)}, operation_id="models")
    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        """Models by slug; `limit` and `offset` page through them."""
        return self.list(request, *args, **kwargs)


class ModelView(APIView):
    """One model."""

    @extend_schema(responses={200: ModelSerializer, **refusals(401, 404, 429)}, operation_id="model")
    def get(self, request: Request, slug: str) -> Response:
        """What its author says of it."""
        return Response(ModelSerializer(permissions.get_model(request.user, slug)).data)
