"""The one shape of every refusal. In: exceptions; out: {code, message, errors: [{field or row, code, message}]}."""

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, set_rollback

from evaluator.errors import InputError
from leaderboard.quota import QuotaExceeded
from leaderboard.states import TransitionRefused

TOO_LARGE = "file_too_large"


class UnknownAddress(APIView):
    """Whatever is no address of the API: 404 for every method."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise Http404("there is nothing at this address")

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        raise Http404("there is nothing at this address")


def answer_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler; None lets what is our fault rise."""
    set_rollback()
    match error:
        case InputError():
            return _input_error(error)
        case QuotaExceeded():
            headers = {"Retry-After": error.next_allowed_at.strftime("%a, %d %b %Y %H:%M:%S GMT")}
            return _answer(status.HTTP_429_TOO_MANY_REQUESTS, "quota_exceeded", str(error), headers=headers)
        case TransitionRefused():
            return _answer(status.HTTP_409_CONFLICT, "moved_on", "It has moved on, so that is no longer possible.")
        case Http404():
            return _answer(status.HTTP_404_NOT_FOUND, "not_found", "There is nothing here, or nothing you may see.")
        case PermissionDenied():
            return _answer(status.HTTP_403_FORBIDDEN, "forbidden", str(error) or "You may not do that.")
        case RequestDataTooBig():
            return _answer(status.HTTP_413_REQUEST_ENTITY_TOO_LARGE, "too_large", "The request's fields are too large.")
        case SuspiciousOperation():
            return _answer(status.HTTP_400_BAD_REQUEST, "bad_request", "The request could not be read: send it again.")
        case exceptions.ValidationError():
            return _answer(error.status_code, "invalid", "Some fields are wrong.", list(_field_errors(error.detail)))
        case exceptions.APIException():
            return _api_exception(error)
    return None


def _input_error(error: InputError) -> Response:
    too_large = any(problem.code == TOO_LARGE for problem in error.problems)
    code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE if too_large else status.HTTP_400_BAD_REQUEST
    first = error.problems[0]
    n_more = sum(error.counts.values()) - 1
    message = first.message if not n_more else f"{first.message} And {n_more} more."
    return _answer(code, first.code, message, [problem.as_dict() for problem in error.problems])


def _api_exception(error: exceptions.APIException) -> Response:
    headers = {}
    if auth_header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    codes = error.get_codes()
    code = codes if isinstance(codes, str) else "error"
    return _answer(error.status_code, code, str(error.detail), headers=headers)


def _field_errors(detail: Any, field: str = "") -> Iterator[dict[str, str]]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _field_errors(inner, field or str(name))  # of a list, by its field and not its places
    elif isinstance(detail, list):
        for inner in detail:
            yield from _field_errors(inner, field)
    else:
        yield {"field": field, "code": getattr(detail, "code", "invalid"), "message": str(detail)}


def _answer(
    code: int, name: str, message: str, errors: list[dict[str, Any]] | None = None, *,
    headers: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    return Response({"code": name, "message": message, "errors": errors or []}, status=code, headers=headers)
