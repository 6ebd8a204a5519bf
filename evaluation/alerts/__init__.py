"""How good alerts are: streams with known shifts, judged by the code that judges live windows."""
