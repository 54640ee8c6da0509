#!/usr/bin/env bash
# The tests, from nothing. `--slow` runs the slow ones alone; all else goes to pytest:
#     bash scripts/test.sh [--slow] [tests/layers -k context ...]
set -eu

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# One process a core; a file's tests stay together, since they share what is dear to make. Of the slow
# ones, those that need the memory of the machine follow one by one.
marker="not slow"
if [ "${1:-}" = "--slow" ]; then
  marker="slow"
  shift
fi
prepare_environment test || {
  echo "scripts/test.sh: failed: the environment could not be prepared (see above)" >&2
  exit 1
}
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
cd "$CPC_ROOT"

# run_tests MARKER PROCESSES [ARGUMENTS...]
run_tests() {
  local marked="$1" processes="$2"
  shift 2
  "$CPC_VENV/bin/python" -m pytest -m "$marked" -n "$processes" --dist loadfile "$@"
}

status=0
if [ "$marker" = "slow" ]; then
  run_tests "slow and not alone" auto "$@" || status=$?
  if [ "$status" -eq 0 ] || [ "$status" -eq 5 ]; then
    alone=0
    run_tests "slow and alone" 0 "$@" || alone=$?
    # That none of one kind was selected is an error where there was none of the other either.
    [ "$alone" -eq 5 ] || status=$alone
  fi
else
  run_tests "$marker" auto "$@" || status=$?
fi
case "$status" in
  0) ;;
  1) echo "scripts/test.sh: failed: tests failed ($marker; pytest exit status 1)" >&2 ;;
  4) echo "scripts/test.sh: failed: pytest did not understand its arguments (exit status 4)" >&2 ;;
  5) echo "scripts/test.sh: failed: no test was selected (pytest exit status 5)" >&2 ;;
  *) echo "scripts/test.sh: failed: pytest was interrupted or broke (exit status $status)" >&2 ;;
esac
exit "$status"
