"""What forecasts are worth: recorded posts through the very class that serves the stream.

Owns floors that know no engine (`floors`), how forecasts are judged (`judging`) with intervals
over authors or days (`intervals`), and the command `groundswell models evaluate engagement`. It
chooses nothing that ships, and ignores how a model was trained.
"""
