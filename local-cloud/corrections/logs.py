"""What functions write."""

import time
import uuid
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.responses import request_scope
from ministack.services import cloudwatch_logs

from . import access


def late_log_lines() -> None:
    """Upstream collects what a function writes when it has answered. What it writes after that gets into the log with
    the next call of the same environment, which may never come; on AWS it is there once it is written."""
    for reading in ["_filter_log_events", "_get_log_events"]:
        _before(reading)


def _before(reading: str) -> None:
    read = getattr(cloudwatch_logs, reading)

    def read_all(request):
        _collect()
        return read(request)

    setattr(cloudwatch_logs, reading, read_all)


def _collect() -> None:
    """Write into the logs what environments without a call have written; a call collects its own lines."""
    with lambda_runtime._lock:
        idle = [worker for workers in lambda_runtime._workers.values() for worker in workers if not worker.in_use]
        late = [(worker.config, lines) for worker in idle if (lines := worker._drain_stderr())]
    for config, lines in late:
        account, region = lambda_runtime._account_region_from_function_config(config)
        with request_scope(account, region):
            if access.may_write_log(config):
                _append(config, lines.splitlines())


def _append(config: dict[str, Any], lines: list[str]) -> None:
    group = cloudwatch_logs._log_groups.get(access.log_group(config))
    if group is None:
        return  # The call before made it, and somebody has deleted it since.
    now = int(time.time() * 1000)
    # Upstream has a stream per call; these lines don't say which call they belong to.
    name = f"{time.strftime('%Y/%m/%d')}/[{config.get('Version', '$LATEST')}]{uuid.uuid4().hex}"
    stream = group["streams"].setdefault(name, {
        "events": [], "uploadSequenceToken": "1", "creationTime": now,
        "firstEventTimestamp": None, "lastEventTimestamp": None, "lastIngestionTime": None})
    cloudwatch_logs._append_log_events(
        stream, [{"timestamp": now, "message": line, "ingestionTime": now} for line in lines])
