"""Event time: panes, watermarks, what is summed, and when a pane is closed. Pure code, no I/O."""
