"""Low-rank factorization: which matrices are replaced, how the factors are computed, and how their rank is set."""
