"""Refusals as pages. In: an error that a view let rise; out: a page that says what to do, with the right status."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from evaluator.errors import InputError
from leaderboard.quota import QuotaExceeded
from leaderboard.states import TransitionRefused

API = "/api/"


class AnswerProblems:
    """Middleware: what the visitor can put right is never a server error. The API answers for itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The page of an error that we know; None leaves any other to Django."""
        if request.path.startswith(API):
            return None
        if isinstance(error, InputError):
            messages = [problem.message for problem in error.problems]
            return _page(request, 400, "That address asks for something that is not there", messages)
        if isinstance(error, QuotaExceeded):
            return _page(request, 429, "No submission left for today", [str(error)])
        if isinstance(error, TransitionRefused):
            message = "It has moved on since you opened the page, so nothing was changed. Go back and look again."
            return _page(request, 409, "That is no longer possible", [message])
        return None


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form whose protection token is missing or old."""
    message = "The form was open for too long, or cookies are blocked. Go back, reload the page and send it again."
    return _page(request, 403, "The form could not be accepted", [message])


def _page(request: HttpRequest, status: int, heading: str, messages: list[str]) -> HttpResponse:
    return render(request, "problem.html", {"heading": heading, "problems": messages}, status=status)
