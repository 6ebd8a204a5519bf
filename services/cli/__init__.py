"""The `groundswell` command: one module per group of commands, loaded when it is used.

Owns exit codes (0 good, 1 the answer is no, 2 wrong use) and how a command finds its settings.
Answers go to standard output, everything else to standard error.
"""
