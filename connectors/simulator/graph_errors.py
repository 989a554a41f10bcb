"""The errors of the Graph API, in its envelope.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes (2026-09): clients
are to build on `code` and `error_data.details`; titles and `error_subcode` will go.
"""

from __future__ import annotations

from hashlib import blake2b

_INTERNAL_ERROR = 500


class GraphError(Exception):
    """An answer with an error envelope. `status` is the HTTP status; a client decides on `code`."""

    def __init__(
        self,
        *,
        status: int,
        code: int,
        message: str,
        kind: str = "OAuthException",
        details: str | None = None,
        subcode: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.kind = kind
        self.details = details
        self.subcode = subcode

    def envelope(self, trace: str) -> dict[str, object]:
        """The body of the answer. `trace` is any text; a trace id is made of it."""
        error: dict[str, object] = {"message": self.message, "type": self.kind, "code": self.code}
        if self.details is not None:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        error["fbtrace_id"] = "A" + blake2b(trace.encode(), digest_size=11).hexdigest()
        return {"error": error}


def invalid_token() -> GraphError:
    """No token, or one that is not valid (any more)."""
    message = "Error validating access token: the session is invalid or has expired."
    return GraphError(status=401, code=190, message=message)


def unknown_object(verb: str, object_id: str) -> GraphError:
    """The object is not there, or the token may not see it: the provider tells no difference."""
    message = (
        f"Unsupported {verb} request. Object with ID '{object_id}' does not exist, cannot be loaded due to missing"
        " permissions, or does not support this operation."
    )
    return GraphError(status=400, code=100, message=message, kind="GraphMethodException", subcode=33)


def gone(verb: str, object_id: str, *, status: int) -> GraphError:
    """The same for a media object that was there: whether as 400 or 404 is not documented."""
    error = unknown_object(verb, object_id)
    error.status = status
    return error


def invalid_parameter(details: str, *, code: int = 100) -> GraphError:
    """A parameter is missing or wrong. 131008: required, missing; 131009: value not valid; 100: either."""
    messages = {131008: "Required parameter is missing", 131009: "Parameter value is not valid"}
    message = f"(#{code}) {messages.get(code, 'Invalid parameter')}"
    return GraphError(status=400, code=code, message=message, details=details)


def throttled(code: int) -> GraphError:
    """Too many calls. 130429: of the number; 80007: of the WABA; 4: of the app."""
    messages = {
        130429: "Rate limit hit",
        80007: "Rate limit issues",
        4: "Application request limit reached",
    }
    details = "Message failed to send because there were too many messages sent in a short time."
    return GraphError(status=429, code=code, message=f"(#{code}) {messages[code]}", details=details)


def unavailable(*, status: int) -> GraphError:
    """The provider is in trouble, for now: 500 with code 131000, or 503 with code 2."""
    if status == _INTERNAL_ERROR:
        return GraphError(status=status, code=131000, message="(#131000) Something went wrong", details="Unknown error")
    return GraphError(status=503, code=2, message="An unexpected error has occurred. Please retry your request later.")


def not_registered() -> GraphError:
    """The number is not registered."""
    message = "(#131045) Incorrect certificate"
    return GraphError(status=400, code=131045, message=message, details="The phone number is not registered.")


def too_many_registrations() -> GraphError:
    """Registering and deregistering is limited to 10 attempts in 72 hours."""
    message = "(#133016) Account register deregister rate limit exceeded"
    return GraphError(status=400, code=133016, message=message, details="Try again in 72 hours.")


def callback_not_verified(why: str) -> GraphError:
    """The callback URL did not answer the challenge."""
    message = f"(#2200) Callback verification failed with the following errors: {why}"
    return GraphError(status=400, code=2200, message=message)
