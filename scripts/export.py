"""The same as `cpc-keras export`."""

import sys

from cpc_keras.cli.main import main

sys.argv[1:1] = ["export"]
main()
