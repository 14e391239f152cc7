"""The command line: thin over the pipeline and the device world."""
