"""Pages of label efficiency. In: addresses; out: the board of encoders and the comparison of strategies."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from leaderboard import permissions
from leaderboard.boards.render import SCALE
from leaderboard.boards.rows import DERIVED
from leaderboard.label_efficiency import export, reading
from leaderboard.label_efficiency.curves import documents_of
from leaderboard.label_efficiency.rows import EfficiencyBoard
from leaderboard.models import Model
from leaderboard.numbers import listed
from leaderboard.pages import tabs
from leaderboard.pages.labels import efficiency_board, strategies

FEWEST_BUDGETS = (1, 2, 4)  # per class, of a dataset that is ranked


@require_safe
@gzip_page  # Django pads the answer against length attacks on what it reflects
def board(request: HttpRequest, release: str, dataset: str | None = None) -> HttpResponse:
    """Encoders ranked by how much they learn from few labels, over all ranked datasets or on one."""
    found = permissions.get_release(request.user, release)
    table = reading.board(request.user, found, dataset)
    if request.GET.get("format") == "csv":
        return _file(export.to_csv(table), table.release, table.split, "label-efficiency", table.dataset)
    own = _own_models(request)
    drawn = efficiency_board.drawn_rows(table, own)
    documents = documents_of(table, drawn)
    chosen = next((each for each in table.datasets if each.slug == table.dataset), None)
    context = {
        "release": found, "board": table, "chosen": chosen, "rows": efficiency_board.rows_of(table, own),
        "ranked": [each for each in table.datasets if each.ranked],
        "unranked": [each for each in table.datasets if not each.ranked],
        "n_ranked": sum(row.rank is not None for row in table.rows), "scale": SCALE,
        "missing": [row for row in table.rows if row.unranked_reason and (chosen is None or chosen.ranked)],
        "any_stale": any(row.stale for row in table.rows),
        "any_merge": any(row.kind == DERIVED for row in table.rows),
        "figure": efficiency_board.figure(drawn, documents, table.dataset) if documents else None,
        "n_drawn": len(drawn), "budgets": listed([str(each) for each in table.per_class or FEWEST_BUDGETS]),
        "choices": _choices(table, list(documents)), "tables": efficiency_board.table(drawn, documents, table),
        "all_columns": request.GET.get("columns") == "all", "has_figures": bool(documents),
        "board_tabs": tabs.all_boards(found, tabs.LABEL_EFFICIENCY),
    }  # fmt: skip
    return render(request, "efficiency/board.html", context)


@require_safe
@gzip_page
def compare_strategies(request: HttpRequest, release: str) -> HttpResponse:
    """Strategies of active learning on the reference encoders; ?dataset=, ?encoder= and ?start= choose."""
    found = permissions.get_release(request.user, release)
    everything = reading.comparisons(request.user, found)
    choice = strategies.read_choice(request.GET, everything)
    if request.GET.get("format") == "csv":
        shown = strategies.chosen(everything, choice)
        if shown is None:
            raise Http404("that has not been compared")
        return _file(export.comparison_to_csv(shown), release, "strategies", shown.dataset, shown.encoder, shown.start)
    context = {
        "release": found, "comparisons": everything, "choice": choice,
        "board_tabs": tabs.all_boards(found, tabs.STRATEGIES),
        "fields": strategies.fields(everything, choice), **strategies.context_of(everything, choice),
    }  # fmt: skip
    return render(request, "efficiency/strategies.html", context)


def _choices(table: EfficiencyBoard, drawn: list[str]) -> list[dict[str, Any]]:
    """What can be chosen above the figure: nothing on the board of one dataset."""
    if table.dataset is not None:
        return []
    options = [{"key": each.slug, "title": each.title, "chosen": each.slug == drawn[0]}
               for each in table.datasets if each.slug in drawn]  # fmt: skip
    return [{"name": "datasets", "options": options}]


def _file(content: str, *names: str | None) -> HttpResponse:
    """A table to take along, named after what it holds."""
    response = HttpResponse(content, content_type="text/csv; charset=utf-8")
    name = "-".join(filter(None, names))
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def _own_models(request: HttpRequest) -> set[str]:
    if not request.user.is_authenticated:
        return set()
    return set(Model.objects.filter(owner=request.user).values_list("slug", flat=True))
