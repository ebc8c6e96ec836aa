"""`python -m emw` is `emw`."""

from emw.cli.main import main

main()
