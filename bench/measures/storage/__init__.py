"""Bytes and parameters."""
