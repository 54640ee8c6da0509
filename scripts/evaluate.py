"""The same as `cpc-keras evaluate`."""

import sys

from cpc_keras.cli.main import main

sys.argv[1:1] = ["evaluate"]
main()
