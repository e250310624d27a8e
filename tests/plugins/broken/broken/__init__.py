"""Plug-ins for bench that fail."""
