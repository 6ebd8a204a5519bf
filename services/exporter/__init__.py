"""The exporter: what people talk of (`conversation`) and how the machinery does, as gauges."""
