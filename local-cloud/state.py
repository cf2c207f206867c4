"""State that outlives the cloud's process: what `--state` keeps in its folder.

MiniStack can keep state itself, but not that of streams, of what waits in retries, or of this project's corrections.
What its services know is in module-level stores, which are kept here as they are, all at one moment: when no handler
runs, since handlers run on the event loop, and no function, since all are ended first.
"""

import asyncio
import gc
import importlib
import logging
import os
import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from ministack import app
from ministack.core import lambda_runtime
from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict
from ministack.services import lambda_svc

SERVICES = "ministack.services."
SCOPED = (AccountRegionScopedDict, AccountScopedDict)

# What is kept besides the stores by account.
OTHERS = [
    ("ministack.services.dynamodb", "_stream_seq_counter"),
    ("ministack.services.ec2", "_default_initialized_scopes"),
    ("ministack.services.sts", "_sessions"),
    ("corrections.streams", "_progress"),
    ("instruments", "_decided"),
    ("instruments", "_faults"),
    ("instruments", "_injected"),
]

# How long functions may take to be gone, and what waits for them to notice.
QUIET_DEADLINE_S, QUIET_POLL_S = 2.0, 0.01


class State:
    """The state of this process and its likes, in a folder."""

    def __init__(self, folder: Path, start: Callable[[], None]):
        self._file = folder / "state"
        # Takes this process's place.
        self._start = start
        self._serves = self._restarts = False
        folder.mkdir(parents=True, exist_ok=True)

    def install(self) -> None:
        """Load what was saved, and restart on SIGHUP."""
        self.load()
        self._refuse_work_before_a_restart()
        app.app = self._with_restarts(app.app)

    def save(self) -> None:
        """Save the state of this moment."""
        stores = [(module, name) for module, loaded in list(sys.modules.items()) if module.startswith(SERVICES)
                  for name, value in vars(loaded).items() if isinstance(value, SCOPED)]
        state = {place: getattr(sys.modules[place[0]], place[1]) for place in stores + OTHERS}
        gc.disable()  # Which would look at every object that is made below.
        # No thread has a turn while this one is at it.
        interval, _ = sys.getswitchinterval(), sys.setswitchinterval(60)
        try:
            kept = pickle.dumps(state, pickle.HIGHEST_PROTOCOL)
        finally:
            sys.setswitchinterval(interval)
            gc.enable()
        partial = self._file.with_suffix(".partial")
        partial.write_bytes(kept)
        partial.replace(self._file)

    def close(self) -> None:
        """Save the last state, if it is this process's."""
        if self._serves:
            self.save()

    def load(self) -> None:
        """Put back what was saved, if anything was."""
        if not self._file.exists():
            return
        gc.disable()
        try:
            state = pickle.loads(self._file.read_bytes())
        finally:
            gc.enable()
        for (module, name), value in state.items():
            loaded = importlib.import_module(module)
            if isinstance(value, SCOPED):
                # Other modules have the same store under names of their own.
                getattr(loaded, name)._data = value._data
            else:
                setattr(loaded, name, value)

    def _refuse_work_before_a_restart(self) -> None:
        mappings, spawn = lambda_svc._iter_all_esms, lambda_runtime.ProvidedWorker._spawn

        def no_mappings():
            return iter(()) if self._restarts else mappings()

        def spawn_no_more(worker, *arguments, **options):
            if self._restarts:
                raise RuntimeError("the cloud restarts")
            return spawn(worker, *arguments, **options)

        lambda_svc._iter_all_esms = no_mappings
        lambda_runtime.ProvidedWorker._spawn = spawn_no_more

    def _with_restarts(self, serve: Callable) -> Callable:
        async def serve_or_restart(scope, receive, send):
            if scope["type"] == "lifespan":
                self._serves = True
                loop = asyncio.get_running_loop()
                loop.add_signal_handler(signal.SIGHUP, lambda: self._tasks.append(loop.create_task(self._restart())))
                self._tasks = [loop.create_task(_poll_once_reachable())]
            elif self._restarts:
                await asyncio.Event().wait()  # The connection ends with the process.
            await serve(scope, receive, send)

        return serve_or_restart

    async def _restart(self) -> None:
        if self._restarts:
            return
        self._restarts = True
        loop = asyncio.get_running_loop()
        end = loop.time() + QUIET_DEADLINE_S
        while loop.time() < end and (_end_functions() or lambda_svc._inflight_total or lambda_svc._esm_inflight):
            await asyncio.sleep(QUIET_POLL_S)
        try:
            self.save()
        except BaseException:
            logging.exception("the state can't be saved: no restart")
            os.kill(os.getpid(), signal.SIGTERM)
            raise
        self._start()


def _end_functions() -> bool:
    """End every process of a function; tell whether there was one."""
    with lambda_runtime._lock:
        workers = [worker for pool in lambda_runtime._workers.values() for worker in pool]
    running = [process for worker in workers if (process := worker._proc) and process.poll() is None]
    for process in running:
        process.kill()
    return bool(running)


async def _poll_once_reachable() -> None:
    """Give functions what waits for them, once they can reach the cloud."""
    if lambda_svc._esms.has_any():
        await app._wait_for_port(int(os.environ["GATEWAY_PORT"]))
        lambda_svc._ensure_poller()

