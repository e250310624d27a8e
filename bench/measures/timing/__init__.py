"""Timing: calls that leave the device idle, laps within a call, interleaved pairs, and what disturbed them."""
