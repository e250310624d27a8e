"""The heavy imports that every worker needs, done once in the fork server."""

import gc

from bench.engine.processes import leaving_with_parent

with leaving_with_parent():
    import codecarbon  # noqa: F401
    import datasets  # noqa: F401
    import evaluate  # noqa: F401
    import fvcore.nn  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.metrics  # noqa: F401
    import torch  # noqa: F401
    import transformers.models.bert.modeling_bert  # noqa: F401

    import bench.artifacts.artifact
    import bench.base.registry
    import bench.engine.child
    import bench.engine.jobs
    import bench.engine.measurer
    import bench.engine.worker
    import bench.measures.base.measure
    import bench.measures.energy.tracker
    import bench.methods.base.method
    import bench.models.adapter
    import bench.tasks.evaluate
    import bench.tasks.kinds.kind
    import bench.training.loop

    for name, measure in bench.measures.base.measure.MEASURES.items():
        if isinstance(measure, bench.measures.base.measure.ProbingMeasure):
            bench.engine.jobs.form(name)
    bench.methods.base.method.METHODS.names()  # which makes the registries of their choices
    bench.base.registry.load_registries()
    bench.measures.energy.tracker.prime()
    gc.freeze()  # a child's collector then leaves the shared pages alone, which would else be copied
