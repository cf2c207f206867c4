"""What tests do to the cloud that AWS has no call for: faults, haste, and who runs.

    PUT  /_local_cloud/faults     what goes wrong from now on, as the members of `Faults`; what is left out does not
    GET  /_local_cloud/faults     how often it went wrong so far
    POST /_local_cloud/hasten     the time passes for which messages wait
    GET  /_local_cloud/functions  the processes of functions, what they do, and for whom

Faults are those of a queue or stream on its way to a function, such as AWS allows itself: it delivers at least once,
and a queue in any order. Each is decided by the seed, the source, and how many were decided there before.
"""

import dataclasses
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core import lambda_runtime
from ministack.services import lambda_svc, sqs

from corrections import streams

PREFIX = "/_local_cloud/"


@dataclasses.dataclass
class Faults:
    seed: int = 0
    # How many of the messages come a second time.
    duplicate: float = 0.0
    # How many come late, so that others overtake them.
    delay: float = 0.0
    # How late at most, also the second time.
    delay_seconds: float = 3.0
    # How many of the batches that a function has handled it gets again, as if its answer had been lost.
    repeat_batch: float = 0.0


_faults = Faults()
_injected: Counter[str] = Counter()
# How often something was decided, by source.
_decided: Counter[str] = Counter()
# Receipt handles of the messages that functions have at this moment.
_held: set[str] = set()


def install() -> None:
    """Put the instruments in, and their addresses before the emulator's own."""
    _disturb_queues()
    _know_what_is_held()
    streams.answer_is_lost = _answer_is_lost
    _know_triggers()
    app.app = _with_addresses(app.app)


def _with_addresses(serve: Callable) -> Callable:
    async def serve_both(scope, receive, send):
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(PREFIX):
            await serve(scope, receive, send)
            return
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        status, answer = _answer(scope["method"], path.removeprefix(PREFIX), body)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    return serve_both


def _answer(method: str, name: str, body: bytes) -> tuple[int, Any]:
    match method, name:
        case "PUT", "faults":
            return _set_faults(body)
        case "GET", "faults":
            return 200, {fault: _injected[fault] for fault in ["duplicated", "delayed", "repeated"]}
        case "POST", "hasten":
            return 200, {"hastened": _hasten()}
        case "GET", "functions":
            return 200, _functions()
    return 404, {"message": "unknown instrument"}


def _set_faults(body: bytes) -> tuple[int, Any]:
    global _faults
    try:
        _faults = Faults(**json.loads(body))
    except (TypeError, ValueError) as error:
        return 400, {"message": str(error)}
    return 200, dataclasses.asdict(_faults)


def _dice(source: str) -> random.Random:
    """What decides the next time."""
    _decided[source] += 1
    return random.Random(f"{_faults.seed} {source} {_decided[source]}")


def _disturb_queues() -> None:
    receive = sqs._receive_messages_for_esm

    def receive_disturbed(url, most):
        with sqs._queues_lock:
            queue = sqs._get_q(url)
            for message in list(queue["messages"]):
                if not (message.get("decided") or message["receive_count"] or queue["is_fifo"]):
                    _disturb(queue, message)
        return receive(url, most)

    sqs._receive_messages_for_esm = receive_disturbed


def _disturb(queue: dict[str, Any], message: dict[str, Any]) -> None:
    faults, dice = _faults, _dice(queue["name"])
    message["decided"] = True
    due = max(message["visible_at"], time.time())
    if dice.random() < faults.duplicate:
        # Half of the copies come at once, so that a function has both in hand at the same moment.
        wait = faults.delay_seconds * max(0, 2 * dice.random() - 1)
        queue["messages"].append({**message, "visible_at": due + wait})
        _injected["duplicated"] += 1
    if dice.random() < faults.delay:
        message["visible_at"] = due + faults.delay_seconds * dice.random()
        _injected["delayed"] += 1


def _know_what_is_held() -> None:
    run = lambda_svc._run_sqs_batch

    def run_known(mapping, function, event, batch, *queue):
        held = {message["receipt_handle"] for message in batch}
        _held.update(held)
        try:
            return run(mapping, function, event, batch, *queue)
        finally:
            _held.difference_update(held)

    lambda_svc._run_sqs_batch = run_known


def _hasten() -> int:
    """Makes all messages visible that no function has; tells how many were not."""
    hastened, now = 0, time.time()
    with sqs._queues_lock:
        for _, queue in sqs._queues.all_items():
            for message in queue["messages"]:
                if message["visible_at"] > now and message["receipt_handle"] not in _held:
                    message["visible_at"] = now
                    hastened += 1
    lambda_svc._esm_wake.set()
    return hastened


def _answer_is_lost(mapping: dict[str, Any]) -> bool:
    lost = _dice(mapping["EventSourceArn"]).random() < _faults.repeat_batch
    _injected["repeated"] += lost
    return lost


def _know_triggers() -> None:
    invoke = lambda_runtime.ProvidedWorker.invoke

    def invoke_known(worker, event, *arguments, **options):
        worker.trigger = _trigger_of(event)
        try:
            return invoke(worker, event, *arguments, **options)
        finally:
            worker.trigger = None

    lambda_runtime.ProvidedWorker.invoke = invoke_known


def _trigger_of(event: Any) -> str | None:
    match event:
        case {"Records": [{"eventSource": str(source)}, *_]}:
            return source.removeprefix("aws:")
        case {"requestContext": _}:
            return "http"
    return None


def _functions() -> list[dict[str, Any]]:
    with lambda_runtime._lock:
        workers = [worker for pool in lambda_runtime._workers.values() for worker in pool]
        return [
            {"function": worker.func_name, "pid": process.pid, "busy": worker.in_use,
             "trigger": getattr(worker, "trigger", None)}
            for worker in workers if (process := worker._proc) and process.poll() is None]
