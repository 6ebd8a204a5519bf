"""From fetched records to one apply: flows, the chain of steps, and what they need of others."""
