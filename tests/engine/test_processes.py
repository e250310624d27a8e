"""Child processes: what they report, how their deaths are told, and that none outlives its parent."""

import os
import signal
import subprocess
import sys
import time

import pytest

from bench.base.errors import DataError
from bench.engine.processes import Child, wait_for

pytestmark = pytest.mark.timeout(120)


def answer(job, report):
    report("half", 0.5)
    print("this goes to the log")
    return job * 2


def refuse(job, report):
    raise DataError(f"no data at {job}")


def break_down(job, report):
    return 1 / job


def die(job, report):
    os.kill(os.getpid(), signal.SIGKILL)


def say(job, report):
    print("\N{CJK UNIFIED IDEOGRAPH-540D}", flush=True)
    return "said"


def sleep(job, report):
    time.sleep(job)


def outcome_of(work, job, log, seen=None):
    child = Child(work, job, log=log)
    while True:
        outcome = child.poll(lambda *event: seen.append(event) if seen is not None else None)
        if outcome is not None:
            return outcome
        wait_for([child])


def test_a_child_gives_its_result_its_progress_and_its_output_goes_to_the_log(tmp_path):
    seen = []
    outcome = outcome_of(answer, 21, tmp_path / "log", seen)
    assert outcome.result == 42
    assert outcome.cause is None
    assert seen == [("half", 0.5)]
    assert "this goes to the log" in (tmp_path / "log").read_text()


def test_the_log_takes_characters_that_the_terminals_encoding_lacks(tmp_path):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import pathlib\n"
        "from test_processes import outcome_of, say\n"
        "outcome = outcome_of(say, None, pathlib.Path(sys.argv[2]))\n"
        "assert outcome.result == 'said', outcome\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", script, os.path.dirname(__file__), str(tmp_path / "log")]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=100)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_text(encoding="utf-8").splitlines() == ["\N{CJK UNIFIED IDEOGRAPH-540D}"]


def test_an_error_the_user_can_act_on_is_passed_on_as_it_is(tmp_path):
    outcome = outcome_of(refuse, "here", tmp_path / "log")
    assert (outcome.cause, outcome.detail, outcome.interrupted) == ("no data at here", "", False)


def test_a_breakdown_carries_its_traceback(tmp_path):
    outcome = outcome_of(break_down, 0, tmp_path / "log")
    assert outcome.cause == "ZeroDivisionError: division by zero"
    assert "break_down" in outcome.detail


def test_a_killed_child_is_an_interruption_and_not_a_failure(tmp_path):
    outcome = outcome_of(die, None, tmp_path / "log")
    assert outcome.interrupted
    assert "SIGKILL" in outcome.cause


def test_a_child_dies_with_its_parent(tmp_path):
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "import pathlib\n"
        "from test_processes import write_pid\n"
        "from bench.engine.processes import Child\n"
        "child = Child(write_pid, sys.argv[2], log=pathlib.Path(sys.argv[3]))\n"
        "time.sleep(60)\n"
    )
    note = tmp_path / "pid"
    parent = subprocess.Popen(
        [sys.executable, "-c", script, os.path.dirname(__file__), str(note), str(tmp_path / "log")]
    )
    deadline = time.monotonic() + 90
    while not note.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    pid = int(note.read_text())
    parent.kill()
    parent.wait()
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def write_pid(job, report):
    partial = f"{job}.partial"
    with open(partial, "w", encoding="utf-8") as stream:
        stream.write(str(os.getpid()))
    os.replace(partial, job)
    time.sleep(60)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_fork_server_ends_with_its_parent_even_while_it_imports(tmp_path):
    """Whoever reads the output of a command would else wait for seconds of imports that nobody needs."""
    (tmp_path / "long_imports.py").write_text(
        "import pathlib, time\n"
        "from bench.engine.processes import leaving_with_parent\n"
        "with leaving_with_parent():\n"
        "    pathlib.Path('begun').touch()\n"
        "    time.sleep(100)\n"
    )
    script = (
        "import pathlib, sys, time\n"
        "sys.path.insert(0, '.')\n"
        "from bench.engine import processes\n"
        "processes.PRELOAD = ['long_imports']\n"
        "processes.start_server()\n"
        "while not pathlib.Path('begun').exists():\n"
        "    time.sleep(0.05)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True, timeout=60)
