"""`python -m fleet`: the command line where its script is not on PATH."""

from fleet.cli import main

main()
