"""Batches of a DynamoDB stream."""

import time
from dataclasses import dataclass
from typing import Any

from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.responses import request_scope
from ministack.services import dynamodb, lambda_svc


def stream_batches() -> None:
    """Upstream ignores `ReportBatchItemFailures` (a reported record is lost), `BisectBatchOnFunctionError` and
    `MaximumRetryAttempts` with its OnFailure destination (a failing batch blocks its stream for good), and calls
    functions on the one thread that polls all queues and streams."""
    lambda_svc._poll_dynamodb_streams = _poll


@dataclass
class _Progress:
    """How far one event source mapping has come with the batch at its position in the stream."""

    attempts: int = 0
    # Set while parts of a batch that failed are retried, so that no newer record joins them.
    limit: int | None = None


@dataclass
class _Batch:
    mapping: dict[str, Any]
    function: dict[str, Any]
    position: int
    records: list[dict[str, Any]]
    progress: _Progress


_progress: dict[str, _Progress] = {}


def answer_is_lost(_mapping: dict[str, Any]) -> bool:
    """Whether a batch that was handled is given to the function again: a fault for tests to put here."""
    return False


def _poll() -> bool:
    """Start a function call for every mapping with new records and none in flight; tell whether there was one."""
    started = False
    for account, region, mapping in lambda_svc._iter_all_esms():
        with request_scope(account, region):
            if batch := _next_batch(mapping):
                lambda_svc._dispatch_esm_batch(mapping["UUID"], _process, batch)
                started = True
    return started


def _next_batch(mapping: dict[str, Any]) -> _Batch | None:
    uuid = mapping["UUID"]
    paused = lambda_svc._esm_backoff_until.get(uuid, 0) > time.time()
    if not mapping["Enabled"] or paused or lambda_svc._esm_inflight.get(uuid):
        return None
    table = _table_of(mapping)
    function, _ = lambda_svc._get_func_record_for_qualifier(mapping["FunctionName"], mapping.get("Qualifier"))
    if table is None or function is None:
        return None
    # Records older than 24 hours are gone; reading goes on at the oldest one that is left.
    with lambda_svc._dynamodb_stream_positions_lock:
        position = max(lambda_svc._dynamodb_stream_positions[uuid], dynamodb.stream_start_position(table))
    progress = _progress.setdefault(uuid, _Progress())
    records = dynamodb.stream_records_since(table, position, progress.limit or int(mapping["BatchSize"]))
    return _Batch(mapping, function, position, records, progress) if records else None


def _table_of(mapping: dict[str, Any]) -> str | None:
    try:
        source = parse_arn(mapping["EventSourceArn"])
    except ArnParseError:
        return None
    if source.service != "dynamodb":
        return None
    name, _ = lambda_svc._dynamodb_stream_table_from_arn_spec(source) or (None, None)
    table = dynamodb._tables.get(name) if name else None
    return name if table and table.get("LatestStreamArn") == mapping["EventSourceArn"] else None


def _process(batch: _Batch) -> None:
    wanted = lambda_svc._apply_filter_criteria(batch.records, batch.mapping)
    if not wanted:
        _advance(batch, len(batch.records))
        return
    result = lambda_svc._execute_function(batch.function, {"Records": wanted})
    done = _records_done(batch, result)
    if done == len(batch.records):
        batch.mapping["LastProcessingResult"] = "OK"
        if answer_is_lost(batch.mapping):
            batch.progress.limit = done
            return
        batch.progress.attempts, batch.progress.limit = 0, None
        _advance(batch, done)
    else:
        batch.mapping["LastProcessingResult"] = "FAILED"
        lambda_svc._esm_backoff_until[batch.mapping["UUID"]] = time.time() + lambda_svc._ESM_BACKOFF_SECONDS
        _retry_or_discard(batch, wanted, result, done)


def _records_done(batch: _Batch, result: dict[str, Any]) -> int:
    """How many records, counted from the first, need not be given to the function again."""
    if result.get("error"):
        return 0
    everything = len(batch.records)
    answer = result.get("body")
    if "ReportBatchItemFailures" not in batch.mapping.get("FunctionResponseTypes", []) or not answer:
        return everything
    numbers = [record["dynamodb"]["SequenceNumber"] for record in batch.records]
    try:
        failures = answer.get("batchItemFailures") or []
        return min((numbers.index(failure["itemIdentifier"]) for failure in failures), default=everything)
    except (AttributeError, KeyError, TypeError, ValueError):
        return 0  # An answer of another shape, or about records not in the batch, fails the whole batch.


def _retry_or_discard(batch: _Batch, wanted: list[dict[str, Any]], result: dict[str, Any], done: int) -> None:
    mapping, progress, size = batch.mapping, batch.progress, len(batch.records)
    if done > 0:
        progress.attempts, progress.limit = 0, size - done
        _advance(batch, done)
    elif result.get("error") and mapping.get("BisectBatchOnFunctionError") and size > 1:
        progress.limit = (size + 1) // 2
    else:
        progress.attempts += 1
        if reason := _reason_to_discard(batch):
            lambda_svc._send_ddb_stream_failure_record(
                mapping, batch.function, wanted, mapping["EventSourceArn"], result, reason)
            progress.attempts, progress.limit = 0, None
            _advance(batch, size)


def _reason_to_discard(batch: _Batch) -> str | None:
    retries = int(batch.mapping.get("MaximumRetryAttempts", -1))
    age = int(batch.mapping.get("MaximumRecordAgeInSeconds", -1))
    oldest = min(float(record["dynamodb"]["ApproximateCreationDateTime"]) for record in batch.records)
    if 0 <= retries < batch.progress.attempts:
        return "RetryAttemptsExhausted"
    if 0 < age < time.time() - oldest:
        return "MaxRecordAgeExceeded"
    return None


def _advance(batch: _Batch, count: int) -> None:
    with lambda_svc._dynamodb_stream_positions_lock:
        lambda_svc._dynamodb_stream_positions[batch.mapping["UUID"]] = batch.position + count
