"""Fresh child processes that cost milliseconds: a fork server with the heavy imports done, and what a child reports."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.base.errors import BenchError

PRELOAD = ["bench.engine.preload"]
_HIDING = threading.Lock()
Report = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a child ended: its `result`, or a `cause`; `interrupted` where it was killed from outside."""

    result: Any = None
    cause: str | None = None
    detail: str = ""
    interrupted: bool = False
    seconds: float = 0.0


def start_server() -> None:
    """Start the fork server's imports in the background, so that they are done when the first child is wanted."""
    if _context().get_start_method() == "forkserver":
        from multiprocessing import forkserver

        forkserver.ensure_running()


@contextmanager
def leaving_with_parent() -> Iterator[None]:
    """End this process as soon as its parent is gone: until all is imported, a fork server does not look itself."""
    parent, over = os.getppid(), threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            if os.getppid() != parent:
                os._exit(0)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()  # a process with another thread must not fork


def _context() -> Any:
    """How children are started here: by a fork server that has the heavy imports done, where the system has one."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Hide the caller's main module while a process is started.

    `multiprocessing` lets every child import the main module of its parent, which would run a script without a main
    guard again. No child of bench needs it: what a child runs and is given is importable from elsewhere.
    """
    with _HIDING:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


class Child:
    """One function call in a process of its own; `poll` gives progress and, once, the outcome."""

    def __init__(self, work: Callable[[Any, Report], Any], job: Any, *, log: Path) -> None:
        context = _context()
        self._connection, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_enter, args=(theirs, work, job, log), daemon=False)
        self._started = time.perf_counter()
        with _hidden_main():
            self._process.start()
        theirs.close()

    def poll(self, on_progress: Report) -> Ending | None:
        """Pass on waiting progress; the outcome if the child has ended, else None. Never blocks."""
        try:
            while self._connection.poll():
                kind, *payload = self._connection.recv()
                if kind == "progress":
                    on_progress(*payload)
                    continue
                self._process.join()
                seconds = time.perf_counter() - self._started
                if kind == "done":
                    return Ending(result=payload[0], seconds=seconds)
                return Ending(cause=payload[0], detail=payload[1], seconds=seconds)
        except EOFError:
            self._process.join()
            return self._death()
        return None

    def stop(self) -> None:
        """End the child at once."""
        self._process.kill()
        self._process.join()

    def _death(self) -> Ending:
        code = self._process.exitcode or 0
        seconds = time.perf_counter() - self._started
        if code < 0:
            name = signal.Signals(-code).name
            cause = f"the process was killed by {name}; if nobody did that, the machine may have run out of memory"
            return Ending(cause=cause, interrupted=True, seconds=seconds)
        return Ending(cause=f"the process ended without a result (exit status {code})", seconds=seconds)


def wait_for(children: list[Child], timeout: float = 0.2) -> None:
    """Sleep until one of the children says something or ends, at most `timeout` seconds."""
    wait([child._connection for child in children], timeout)


def _enter(connection: Connection, work: Callable[[Any, Report], Any], job: Any, log: Path) -> None:
    """The child's whole life: die with the parent, keep the terminal clean, answer once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(stream, descriptor)
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):  # whatever the terminal's encoding, the log takes every character
            output.reconfigure(encoding="utf-8", errors="backslashreplace")
    last = 0.0

    def report(text: str, share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > 0.1 or share >= 1:
            last = now
            connection.send(("progress", text, share))

    try:
        answer: tuple[Any, ...] = ("done", work(job, report))
    except BenchError as error:
        answer = ("failed", str(error), "")
    except Exception as error:
        answer = ("failed", f"{type(error).__name__}: {error}", traceback.format_exc())
    connection.send(answer)
    connection.close()
    os._exit(0)  # nothing is left to do, and taking down an interpreter with torch in it takes a second


def _die_with_parent() -> None:
    """End this process as soon as the one that asked for it is gone, so that no orphan goes on computing."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
