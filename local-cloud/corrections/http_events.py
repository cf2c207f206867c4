"""What passes between an HTTP API and a function (payload format 2.0)."""

import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_request_client_ip
from ministack.services import lambda_svc

PAYLOAD_LIMIT = 6 * 1024 * 1024

Call = Callable[[dict[str, Any]], dict[str, Any]]


def http_cookies() -> None:
    """Upstream leaves cookies in the `cookie` header; AWS moves them to the event's `cookies` list."""

    def around(event, call: Call):
        if cookies := event["headers"].pop("cookie", None):
            event["cookies"] = [cookie.strip() for cookie in cookies.split(";")]
        return call(event)

    _around_http_calls(around)


def http_forwarded() -> None:
    """Upstream sends no `x-forwarded-for`, `-port` and `-proto` headers; AWS always does, and appends the
    caller's address to an `x-forwarded-for` that the caller sent."""

    def around(event, call: Call):
        headers, source = event["headers"], event["requestContext"]["http"]["sourceIp"]
        hops = [headers["x-forwarded-for"], source] if "x-forwarded-for" in headers else [source]
        headers.update({"x-forwarded-for": ", ".join(hops), "x-forwarded-port": "443", "x-forwarded-proto": "https"})
        return call(event)

    _around_http_calls(around)


def http_source_address() -> None:
    """Upstream says that every request comes from 127.0.0.1; AWS says where it comes from, which on this machine may be
    any loopback address."""

    def around(event, call: Call):
        event["requestContext"]["http"]["sourceIp"] = get_request_client_ip()
        return call(event)

    _around_http_calls(around)


def http_payload_limits() -> None:
    """Upstream passes bodies of any size; Lambda takes and returns at most 6 MB, beyond which an HTTP API
    answers 413 to the request and 500 instead of the response."""

    def around(event, call: Call):
        if len(event.get("body") or "") > PAYLOAD_LIMIT:
            return _message(413, "Request Entity Too Large")
        result = call(event)
        answer = result.get("body")
        if isinstance(answer, dict) and len(answer.get("body") or "") > PAYLOAD_LIMIT:
            return _message(500, "Internal Server Error")
        return result

    _around_http_calls(around)


def http_function_errors() -> None:
    """Upstream answers 502 with the text of a function's error; AWS answers 500 and tells nothing of it."""

    def around(event, call: Call):
        result = call(event)
        failed = result.get("error") and not result.get("throttle")
        # An answer in an error is one that another correction put there.
        if failed and "statusCode" not in (result.get("body") or {}):
            return _message(500, "Internal Server Error")
        return result

    _around_http_calls(around)


def _around_http_calls(around: Callable[[dict[str, Any], Call], dict[str, Any]]) -> None:
    execute = lambda_svc._execute_function_with_config_scope

    def execute_http(function, event):
        if isinstance(event, dict) and "routeKey" in event:
            return around(event, lambda passed: execute(function, passed))
        return execute(function, event)

    lambda_svc._execute_function_with_config_scope = execute_http


def _message(status: int, text: str) -> dict[str, Any]:
    headers = {"content-type": "application/json"}
    return {"error": True, "body": {"statusCode": status, "headers": headers, "body": json.dumps({"message": text})}}
