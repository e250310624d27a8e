"""The one function that every child runs: from a written job to a written result."""

from __future__ import annotations

from bench.artifacts.functions import named
from bench.engine.jobs import CompressJob, ProbeJob, Result, TrainJob, read_job
from bench.engine.processes import Report


def perform(written: str, report: Report) -> str:
    """Do the job that `written` describes; returns the written result.

    A line in the process's output says what it does, so that the log tells what each child did.
    """
    from bench.engine.measurer import measure, probe
    from bench.engine.worker import compress, train_reference

    job = read_job(written)
    print(f"{job.phase}: {job.cell.title} ({job.cell.key})", flush=True)
    found: Result
    with named(job.cell.system.function if job.cell.system else None):
        if isinstance(job, TrainJob):
            found = train_reference(job, report)
        elif isinstance(job, CompressJob):
            found = compress(job, report)
        elif isinstance(job, ProbeJob):
            found = probe(job)
        else:
            found = measure(job, report)
    return found.write()
