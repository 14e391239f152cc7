"""The steps joined: stages with content keys, a cache, a plan, a run (host world)."""
