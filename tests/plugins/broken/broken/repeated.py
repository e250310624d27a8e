from bench.tasks.kinds.kind import KINDS
from bench.tasks.kinds.sequence import Regression

KINDS.register("regression")(Regression())
