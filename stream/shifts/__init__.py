"""Shifts of opinion, mix and volume, judged on closed windows. Pure code: no clock, no I/O."""
