"""The platforms whose posts we read, as servers on loopback that misbehave on demand."""
