"""`python -m opsanalytics.cli`."""

from opsanalytics.cli import main

main()
