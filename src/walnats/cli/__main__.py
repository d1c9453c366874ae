"""`python -m walnats.cli`, for where the script isn't on the path."""

from . import main

main()
