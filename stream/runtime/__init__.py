"""Faust and aiokafka at the rim of the worker: the only package that imports them."""
