"""The steps of the worker's chain, one a file; `stream.worker.chain` lists them in order."""
