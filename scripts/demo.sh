#!/usr/bin/env bash
# The demo, from nothing: makes the environment, then pre-trains, exports and evaluates on real
# images that a package brings along. Options go to `cpc-keras demo`; see its --help.
set -eu

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

prepare_environment demo || {
  echo "scripts/demo.sh: failed: the environment could not be prepared (see above)" >&2
  exit 1
}
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
exec "$CPC_VENV/bin/cpc-keras" demo "$@"
