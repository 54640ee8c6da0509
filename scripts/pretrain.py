"""The same as `cpc-keras pretrain`."""

import sys

from cpc_keras.cli.main import main

sys.argv[1:1] = ["pretrain"]
main()
