"""The same as `cpc-keras pretrain`."""

import sys

from cpc_keras.cli.main import main

main(["pretrain", *sys.argv[1:]], prog_name="cpc-keras")
