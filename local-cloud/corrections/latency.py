"""Waits that AWS does not have."""

import socketserver

from ministack.core import lambda_runtime


def runtime_api_delay() -> None:
    """Upstream's Lambda Runtime API sends head and body of an answer in two writes on a socket with Nagle's
    algorithm, which against the client's delayed acknowledgement costs 40 ms per call."""
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True


def log_wait() -> None:
    """Upstream waits up to 50 ms after each call for a first log line, and 5 ms after the last one, before it
    returns the answer. A function writes its lines before it answers, so that a few milliseconds suffice."""
    first_line, quiet, limit = 0.003, 0.001, 0.050
    lambda_runtime.Worker._drain_stderr_bounded.__defaults__ = (first_line, quiet, limit)
