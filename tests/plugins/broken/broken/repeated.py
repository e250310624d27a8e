from bench.tasks.kinds.kind import KINDS
from bench.tasks.kinds.regression import Regression

KINDS.register("regression")(Regression())
