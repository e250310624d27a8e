"""Energy: the meter, the windows it reads, where its power comes from, and what other calculators make of it."""
