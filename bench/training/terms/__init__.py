"""The terms of an objective that listen to a student and its teachers."""
