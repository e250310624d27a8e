"""Plug-ins for bench."""
