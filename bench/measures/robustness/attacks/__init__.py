"""Word-level attacks on classifiers: what a word may become, and the search for a change that flips the label."""
