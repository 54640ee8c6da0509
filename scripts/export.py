"""The same as `cpc-keras export`."""

import sys

from cpc_keras.cli.main import main

main(["export", *sys.argv[1:]], prog_name="cpc-keras")
