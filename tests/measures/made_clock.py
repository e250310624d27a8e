"""A clock on which time passes only when a stub says so."""

from __future__ import annotations


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def stub(self, seconds, log=None, name=""):
        """A call that takes `seconds`, a number or a function of the time."""

        def call():
            self.now += seconds(self.now) if callable(seconds) else seconds
            if log is not None:
                log.append(name)

        return call

    def timed(self, *laps):
        """A call with these laps, numbers or functions of the time, as `lapped` would give it."""

        def call():
            found = [lap(self.now) if callable(lap) else lap for lap in laps]
            self.now += sum(found)
            return found

        return call
