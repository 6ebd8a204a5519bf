"""The webhook: posts that others push over HTTP, signed, each answered once Kafka has it."""
