"""The register of architectures as JSON."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluator.architectures.architecture import Family
from leaderboard import architectures as register
from leaderboard.api.schema import refusals
from leaderboard.api.serializers import ArchitectureSerializer

PARAMETERS = [
    OpenApiParameter("family", enum=list(Family), description="only this family"),
    OpenApiParameter("search", description="only those whose name, activation or preprocessing hold all these words"),
]


class ArchitecturesView(APIView):
    """What a checkpoint may name."""

    @extend_schema(
        parameters=PARAMETERS, responses={200: ArchitectureSerializer(many=True), **refusals(400, 401, 429)},
        operation_id="architectures",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """All architectures by name, in one answer."""
        family, search = (request.query_params.get(name, "").strip() for name in ("family", "search"))
        return Response(ArchitectureSerializer(register.find(family=family, search=search), many=True).data)
