"""One file a stage: what it depends on, what it does, how much work it is."""
