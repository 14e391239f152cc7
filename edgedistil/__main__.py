"""`python -m edgedistil` is the command line."""

from edgedistil.cli.main import main

main()
