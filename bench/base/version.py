"""The version of this package: one place that the build, the command and every record read."""

__version__ = "0.1.0"
