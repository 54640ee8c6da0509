#!/usr/bin/env bash
# The tests, from nothing. `--slow` runs the slow ones alone; all else goes to pytest:
#     bash scripts/test.sh [--slow] [tests/layers -k context ...]
set -eu

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# One process a core; a file's tests stay together, since they share what is dear to make. The slow
# ones run one by one: some measure memory.
marker="not slow"
processes="auto"
if [ "${1:-}" = "--slow" ]; then
  marker="slow"
  processes=0
  shift
fi
prepare_environment test || {
  echo "scripts/test.sh: failed: the environment could not be prepared (see above)" >&2
  exit 1
}
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
cd "$CPC_ROOT"
status=0
"$CPC_VENV/bin/python" -m pytest -m "$marker" -n "$processes" --dist loadfile "$@" || status=$?
case "$status" in
  0) ;;
  1) echo "scripts/test.sh: failed: tests failed ($marker; pytest exit status 1)" >&2 ;;
  4) echo "scripts/test.sh: failed: pytest did not understand its arguments (exit status 4)" >&2 ;;
  5) echo "scripts/test.sh: failed: no test was selected (pytest exit status 5)" >&2 ;;
  *) echo "scripts/test.sh: failed: pytest was interrupted or broke (exit status $status)" >&2 ;;
esac
exit "$status"
