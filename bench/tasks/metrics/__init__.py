"""The official metrics, one `evaluate.Metric` a module, computed without network or cache files."""
