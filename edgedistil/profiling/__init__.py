"""Latency tables: little models made here, measured on a device, solved for the cost of each sublayer (host world)."""
