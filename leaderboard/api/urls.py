"""Addresses of the JSON API under /api/v1/."""

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView

from leaderboard.api import architectures, label_efficiency, lineage, models, releases, submissions
from leaderboard.api.errors import UnknownAddress

urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("releases/", releases.ReleasesView.as_view(), name="api-releases"),
    path("releases/<slug:release>/", releases.ReleaseView.as_view(), name="api-release"),
    path("releases/<slug:release>/packs/<str:split>.zip", releases.PackView.as_view(), name="api-pack"),
    path("releases/<slug:release>/boards/", releases.BoardsView.as_view(), name="api-boards"),
    path("releases/<slug:release>/boards/<slug:board>/", releases.BoardView.as_view(), name="api-board"),
    path("releases/<slug:release>/forgetting/", lineage.GainsView.as_view(), name="api-gains"),
    path("releases/<slug:release>/label-efficiency/", label_efficiency.EfficiencyView.as_view(), name="api-efficiency"),
    path("releases/<slug:release>/strategies/", label_efficiency.StrategiesView.as_view(), name="api-strategies"),
    path("architectures/", architectures.ArchitecturesView.as_view(), name="api-architectures"),
    path("models/", models.ModelsView.as_view(), name="api-models"),
    path("models/<slug:slug>/", models.ModelView.as_view(), name="api-model"),
    path("submissions/", submissions.SubmissionsView.as_view(), name="api-submissions"),
    path("submissions/<uuid:pk>/", submissions.SubmissionView.as_view(), name="api-submission"),
    path("submissions/<uuid:pk>/publish/", submissions.PublishView.as_view(), name="api-publish"),
    path("submissions/<uuid:pk>/withdraw/", submissions.WithdrawView.as_view(), name="api-withdraw"),
    path("submissions/<uuid:pk>/cancel/", submissions.CancelView.as_view(), name="api-cancel"),
    path("submissions/<uuid:pk>/lineage/", lineage.LineageView.as_view(), name="api-lineage"),
    path(
        "submissions/<uuid:pk>/label-efficiency/",
        label_efficiency.SubmissionEfficiencyView.as_view(),
        name="api-submission-efficiency",
    ),
    path("submissions/<uuid:pk>/base/", lineage.BaseView.as_view(), name="api-base"),
    path("submissions/<uuid:pk>/sweep/", lineage.SweepView.as_view(), name="api-sweep"),
    path("submissions/<uuid:pk>/merge/", lineage.MergeView.as_view(), name="api-merge"),
    path("submissions/<uuid:pk>/forgetting/", lineage.ForgettingView.as_view(), name="api-forgetting"),
    path("submissions/<uuid:pk>/interpolation/", lineage.InterpolationView.as_view(), name="api-interpolation"),
    path("submissions/<uuid:pk>/files/<str:name>", lineage.FileView.as_view(), name="api-file"),
    path("soups/", lineage.SoupView.as_view(), name="api-soups"),
    re_path("", UnknownAddress.as_view(), name="api-unknown"),
]
