"""The board page. In: a release, a board and a query string; out: the ranked table as HTML or CSV."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from evaluator.answers import Protocol
from evaluator.release.info import info_from_json
from leaderboard import permissions
from leaderboard.boards import export, snapshots
from leaderboard.boards.marks import legend_of
from leaderboard.boards.names import AGGREGATE_TITLES, FACET_TITLES, board_title
from leaderboard.boards.render import SCALE, references
from leaderboard.boards.rows import PAPER, Board, Row
from leaderboard.boards.view import KINDS, View, hidden_because, read_view, shown_rows
from leaderboard.models import Model, Release
from leaderboard.numbers import percent
from leaderboard.pages import tabs

MAIN_FACETS = ("modality", "domain")


@require_safe
@gzip_page  # Django pads the answer against length attacks on what it reflects
def board(request: HttpRequest, release: str, board: str) -> HttpResponse:
    """The ranked table; `?format=csv` gives the same rows as a file."""
    found = permissions.get_release(request.user, release)
    info = info_from_json(found.info)
    view = read_view(request.GET, info, found.summary)
    try:
        is_csv = request.GET.get("format") == "csv"
        tasks = None if is_csv else view.sorted_tasks
        table = snapshots.get_board(found, view.split, board, view.facets, tasks=tasks)
    except snapshots.NoSuchBoard as absent:
        raise Http404(str(absent)) from absent
    rows = shown_rows(table, view)
    if is_csv:
        return _csv(found, board, view, table, rows)
    own = _own_models(request)
    context = {
        "release": found, "board": table, "view": view, "rows": rows, "shown": len(rows),
        "heading": heading(table.title, view), "body": _body(table, rows, view, own),
        "heads": _heads(found, board, table, view), "scale": SCALE,
        "sorted_by": next((column.title for column in table.columns if column.slug == view.sort), ""),
        "legend": legend_of(table.rows), "references": references(table),
        "csv_url": f"?{view.query()}&format=csv",
        "json_url": f"{reverse('api-board', args=[found.slug, board])}?{view.query()}",
        **_filters(found, view, table), **_missing(table, view), **_tabs(found, board, view, info),
    }  # fmt: skip
    return render(request, "boards/board.html", context)


def heading(title: str, view: View) -> str:
    """'Fluorescence microscopy · Overall': the facets chosen, then the board."""
    values = [value for values in view.facets.values() for value in values]
    words = [", ".join(values)] if values else []
    return " · ".join([*(word[:1].upper() + word[1:] for word in words), title])


def _csv(release: Release, board: str, view: View, table: Board, rows: list[Row]) -> HttpResponse:
    response = HttpResponse(export.to_csv(table, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{release.slug}-{view.split}-{board}.csv"'
    return response


def _own_models(request: HttpRequest) -> set[str]:
    if not request.user.is_authenticated:
        return set()
    return set(Model.objects.filter(owner=request.user).values_list("slug", flat=True))


def _body(table: Board, rows: list[Row], view: View, own: set[str]) -> SafeString:
    """The rows, rendered when the board was computed; only their classes depend on who looks, and how."""
    grouped = view.is_default_order
    parts = []
    for place, row in enumerate(rows):
        before = rows[place - 1] if place else None
        after = rows[place + 1] if place + 1 < len(rows) else None
        css = ["own"] if row.model in own else []
        if row.rank is None:
            css.append("off")
            if grouped and before and before.rank is not None:
                css.append("divide")
        elif grouped:
            css.append("held")
            css += ["first"] if before is None or before.group != row.group else []
            css += ["last"] if after is None or after.group != row.group else []
        chosen = "".join(f"<td class=chosen>{percent(table.cell(row, task)[0])}" for task in view.sorted_tasks)
        parts.append(f'<tr class="{" ".join(css)}">{row.lead}{chosen}{row.html}')
    # Our own templates escaped it when the board was computed.
    return mark_safe("\n".join(parts))  # nosec B308 B703


def _heads(release: Release, board: str, table: Board, view: View) -> list[dict[str, Any]]:
    """The header cells: name, link to its own board, link that sorts by it."""
    heads: list[dict[str, Any]] = [
        {"name": "rank", "css": "rank", "sort": "rank"}, {"name": "model", "css": "model", "sort": "model"},
        {"name": "marks", "css": "marks"},
        *({"name": column.title, "css": "chosen", "sort": column.slug} for column in table.columns
          if column.slug == view.sort),
        {"name": "score", "css": "score", "sort": "score"}, {"name": "interval", "css": "drawn", "scale": True},
    ]  # fmt: skip
    for column in table.columns:
        address = f"{reverse('board', args=[release.slug, column.slug])}?{View(split=view.split).query()}"
        heads.append({"name": column.title, "css": "t", "sort": column.slug, "url": address, "few": column.few})
    heads.append({"name": "n", "css": "n", "sort": "n"})
    for head in heads:
        if not (sort := head.get("sort")):
            continue
        is_sorted = view.sort == sort
        first_descending = sort not in ("rank", "model")
        descending = not view.descending if is_sorted else first_descending
        head["sort_url"] = f"?{view.query(sort=sort, descending=descending)}"
        if is_sorted and head["css"] != "t":  # the column that was chosen stands in front as well
            head["sorted"] = "descending" if view.descending else "ascending"
    return heads


def _filters(release: Release, view: View, table: Board) -> dict[str, Any]:
    facets: dict[str, list[dict[str, Any]]] = {"main": [], "more": []}
    for name, title_ in FACET_TITLES.items():
        values = release.summary[view.split]["facets"].get(name, {})
        chosen = view.facets.get(name, ())
        if len(values) < 2 and not chosen:
            continue
        options = [{"value": value, "items": n, "chosen": value in chosen} for value, n in values.items()]
        place = "main" if name in MAIN_FACETS or chosen else "more"
        facets[place].append({"name": name, "title": title_, "options": options, "chosen": chosen})
    n_set = len(view.facets) + sum(map(bool, (view.kind, view.protocol, view.verified)))
    occurring = {row.kind for row in table.rows}
    return {
        "facets": facets, "filters_set": n_set,
        "kinds": [kind for kind in KINDS if kind in occurring or kind == view.kind], "protocols": list(Protocol),
        "columns_query": view.query(all_columns=not view.all_columns),
    }  # fmt: skip


def _missing(table: Board, view: View) -> dict[str, Any]:
    """The rows that are hidden or stand without a rank, each with the reason; references explain themselves."""
    hidden = [{"model": row.model, "name": row.name, "why": f"hidden, because {why}"}
              for row in table.rows if row.kind != PAPER and (why := hidden_because(row, view))]  # fmt: skip
    unranked = [{"model": row.model, "name": row.name, "why": row.reason}
                for row in table.rows if row.reason and not hidden_because(row, view)]  # fmt: skip
    return {"missing": hidden + unranked, "missing_hidden": bool(hidden)}


def _tabs(release: Release, board: str, view: View, info: Any) -> dict[str, Any]:
    names = list(AGGREGATE_TITLES)
    if board not in names:
        names.append(board)
    boards = [
        {
            "name": board_title(name, info),
            "url": f"{reverse('board', args=[release.slug, name])}?{view.query(sort='rank', descending=False)}",
            "here": name == board,
        }
        for name in names
    ]
    splits = [{"name": split.value, "url": f"?{View(split=split).query()}", "here": split == view.split}
              for split in info.splits]  # fmt: skip
    return {"board_tabs": boards + tabs.beside(release), "split_tabs": splits}
