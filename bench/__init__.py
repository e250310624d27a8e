"""bench: an efficiency benchmark harness for compressed language models."""

__version__ = "0.1.0"
