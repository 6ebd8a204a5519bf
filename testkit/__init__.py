"""Stand-ins for what is outside, batteries that every part must pass, and faults.

Owns servers that behave like a platform, Kafka or Triton, and misbehave on demand; the checks
that every source, scorer and kind of shift must pass; chaos; and a copy of the tree in which a
test adds something. It ignores nothing of ours, and nothing of ours may know it: a wheel does
not have it.
"""
