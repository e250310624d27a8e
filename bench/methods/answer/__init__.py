"""Answering open questions with less than passages and a reader."""
