"""``python -m adafuse_deploy``: the command line."""

from adafuse_deploy.cli import main

main()
