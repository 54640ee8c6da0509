"""The same as `cpc-keras evaluate`."""

import sys

from cpc_keras.cli.main import main

main(["evaluate", *sys.argv[1:]], prog_name="cpc-keras")
