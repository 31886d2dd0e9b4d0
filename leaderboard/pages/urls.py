"""Addresses of the pages."""

from django.urls import path

from leaderboard.pages import account, architectures, boards, home, lineage, models, organise, releases, submissions

urlpatterns = [
    path("", home.home, name="home"),
    path("rules/", home.rules, name="rules"),
    path("colours/<str:choice>/", home.theme, name="theme"),
    path("releases/<slug:release>/", releases.release, name="release"),
    path("releases/<slug:release>/packs/<str:split>.zip", releases.pack, name="pack"),
    path("releases/<slug:release>/forgetting/", lineage.release_forgetting, name="release-forgetting"),
    path("releases/<slug:release>/<slug:board>/", boards.board, name="board"),
    path("architectures/", architectures.architectures, name="architectures"),
    path("architectures/chosen/", architectures.chosen, name="architecture-chosen"),
    path("models/", models.models, name="models"),
    path("models/<slug:slug>/", models.model, name="model"),
    path("models/<slug:slug>/<slug:release>/<slug:split>/", models.report, name="model-report"),
    path("models/<slug:slug>/edit/", models.edit, name="model-edit"),
    path("submit/", submissions.submit, name="submit"),
    path("submissions/<uuid:pk>/", submissions.submission, name="submission"),
    path("submissions/<uuid:pk>/live/", submissions.live, name="submission-live"),
    path("submissions/<uuid:pk>/problems.csv", submissions.problems, name="submission-problems"),
    path("submissions/<uuid:pk>/publish/", submissions.publish, name="submission-publish"),
    path("submissions/<uuid:pk>/withdraw/", submissions.withdraw, name="submission-withdraw"),
    path("submissions/<uuid:pk>/cancel/", submissions.cancel, name="submission-cancel"),
    path("submissions/<uuid:pk>/base/", lineage.base, name="submission-base"),
    path("submissions/<uuid:pk>/sweep/", lineage.sweep, name="submission-sweep"),
    path("submissions/<uuid:pk>/merge/", lineage.merge, name="submission-merge"),
    path("submissions/<uuid:pk>/soup/", lineage.soup, name="submission-soup"),
    path("submissions/<uuid:pk>/files/<str:name>", lineage.file, name="submission-file"),
    path("account/", account.account, name="account"),
    path("account/tokens/", account.tokens_page, name="tokens"),
    path("account/tokens/<int:pk>/revoke/", account.revoke, name="token-revoke"),
    path("organise/", organise.organise, name="organise"),
    path("organise/queues/<str:queue>/<str:act>/", organise.switch, name="organise-queue"),
    path("organise/evaluations/<uuid:pk>/cancel/", organise.cancel, name="organise-cancel"),
    path("organise/evaluations/<uuid:pk>/retry/", organise.retry, name="organise-retry"),
    path("organise/models/<slug:slug>/reference-encoder/", organise.reference_encoder, name="organise-encoder"),
    path("organise/submissions/<uuid:pk>/no-image/", organise.ask_without_images, name="organise-no-image"),
]
