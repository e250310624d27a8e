"""The official metrics, each defined once: its column, its score, and its score on chosen examples."""
