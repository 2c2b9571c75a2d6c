"""Errors of the executor.

StopRequest     somebody asked that this request stop, or a later attempt has taken it over
UpstreamError   an upstream call failed; carries the `UpstreamFailure`
"""

from tokenbus_translate import UpstreamFailure


class StopRequest(Exception):  # noqa: N818 - it stops a request, it is no error of anyone
    """Raised inside a request's task group. `overtaken_by`: the later attempt, or None where a user cancelled."""

    def __init__(self, *, overtaken_by: int | None) -> None:
        self.overtaken_by = overtaken_by
        super().__init__()


class UpstreamError(Exception):
    """An upstream gave no answer, or no whole one; `failure` says why, in our terms."""

    def __init__(self, failure: UpstreamFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure
