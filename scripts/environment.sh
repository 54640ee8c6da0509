# Makes, or reuses, the virtual environment `.venv` in the repository root. Sourced, not run:
#
#     . scripts/environment.sh
#     prepare_environment demo      # an extra of setup.py
#
# Written for bash 3.2 (macOS) and up, and for the tools that both GNU and BSD systems have.
# Functions return non-zero after saying what went wrong; they never leave the calling shell.

# shellcheck shell=bash
CPC_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." >/dev/null && pwd)"
CPC_VENV="${CPC_ROOT}/.venv"
CPC_STAMP="${CPC_VENV}/.cpc-keras-installed"
CPC_PYTHON_RANGE="3.11 to 3.13"

say() {
  echo "cpc-keras: $*" >&2
}

# python_version COMMAND: prints "3.11" for a Python that runs; fails for one that does not (such as
# a pyenv shim without a version behind it).
python_version() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null </dev/null
}

# version_fits VERSION: is it one that TensorFlow 2.21 has wheels for?
version_fits() {
  case "$1" in
    3.11 | 3.12 | 3.13) return 0 ;;
    *) return 1 ;;
  esac
}

# choose_python: prints the interpreter to make the environment with: $PYTHON where it is set, else
# the first that runs and is in range.
choose_python() {
  local candidate path version found=""
  if [ -n "${PYTHON:-}" ]; then
    version="$(python_version "$PYTHON")" || version=""
    if version_fits "$version"; then
      command -v "$PYTHON"
      return 0
    fi
    say "PYTHON=$PYTHON: expected Python $CPC_PYTHON_RANGE, found ${version:-none that runs}." \
      "Set PYTHON to one, or unset it."
    return 1
  fi
  for candidate in python3 python3.13 python3.12 python3.11 python; do
    path="$(command -v "$candidate" 2>/dev/null)" || continue
    # An activated .venv is no base for itself.
    case "$path" in "$CPC_VENV"/*) continue ;; esac
    version="$(python_version "$path")" || version=""
    if version_fits "$version"; then
      echo "$path"
      return 0
    fi
    found="$found $candidate (${version:-does not run})"
  done
  say "no Python $CPC_PYTHON_RANGE found; found:${found:- no python at all}."
  say "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install" \
    "python@3.12), or name one: PYTHON=/path/to/python3.12"
  return 1
}

# venv_state DIRECTORY: prints one of
#   absent   nothing there
#   usable   a virtual environment whose Python runs
#   broken   what an interrupted or outdated virtual environment leaves: may be removed
#   foreign  anything else: never touched
venv_state() {
  local entry
  if [ ! -e "$1" ] && [ ! -L "$1" ]; then
    echo absent
  elif [ ! -d "$1" ]; then
    echo foreign
  elif [ -f "$1/pyvenv.cfg" ] && [ -n "$(python_version "$1/bin/python")" ]; then
    echo usable
  else
    # Without pyvenv.cfg, only a skeleton without any files is an environment cut short.
    if [ ! -f "$1/pyvenv.cfg" ] && [ -n "$(find "$1/" ! -type d ! -name 'lib64' | head -n 1)" ]; then
      echo foreign
      return 0
    fi
    for entry in "$1"/* "$1"/.[!.]*; do
      [ -e "$entry" ] || [ -L "$entry" ] || continue
      case "${entry##*/}" in
        bin | include | lib | lib64 | share | etc | pyvenv.cfg) ;;
        .gitignore | CACHEDIR.TAG | .lock | .cpc-keras-installed*) ;;
        *)
          echo foreign
          return 0
          ;;
      esac
    done
    echo broken
  fi
}

# run_logged LOG COMMAND...: quiet unless it fails; the log lies in LOG either way.
run_logged() {
  local log="$1"
  shift
  echo "+ $*" >>"$log"
  "$@" >>"$log" 2>&1 </dev/null
}

# explain_failure STEP LOG: the end of the log, then the step and where the whole log lies.
explain_failure() {
  tail -n 15 "$2" | sed 's/^/  | /' >&2
  if grep -q 'No matching distribution found for tensorflow' "$2"; then
    say "TensorFlow 2.21 has wheels for Linux (x86_64, aarch64) and macOS (arm64), 64-bit Python" \
      "$CPC_PYTHON_RANGE; this is $(uname -sm). (Or the package index cannot be reached.)"
  fi
  say "FAILED: $1. The whole log: $2"
}

# make_venv PYTHON LOG: an environment without pip yet (Debian's Python may lack ensurepip).
make_venv() {
  run_logged "$2" "$1" -m venv --without-pip "$CPC_VENV" && return 0
  run_logged "$2" "$1" -m virtualenv "$CPC_VENV" && return 0
  return 1
}

# ensure_pip PYTHON LOG: gives the environment a pip, by whichever way there is.
ensure_pip() {
  local inner="$CPC_VENV/bin/python"
  "$inner" -m pip --version >/dev/null 2>&1 && return 0
  run_logged "$2" "$inner" -m ensurepip --upgrade --default-pip ||
    run_logged "$2" "$1" -m pip --python "$inner" install pip ||
    run_logged "$2" "$1" -m virtualenv "$CPC_VENV" || return 1
  run_logged "$2" "$inner" -m pip --version
}

# installation_key: what an installation depends on. An environment or a repository that moved needs
# a new one too, since the console script and the editable install hold absolute paths.
installation_key() {
  "$CPC_VENV/bin/python" - "$CPC_ROOT" <<'PYTHON'
import hashlib
import pathlib
import sys

root = pathlib.Path(sys.argv[1])
digest = hashlib.sha256(f"{sys.version}\n{sys.prefix}\n{root}\n".encode())
for name in ("setup.py", "cpc_keras/version.py"):
    digest.update((root / name).read_bytes())
print(digest.hexdigest())
PYTHON
}

# is_installed KEY EXTRA: the stamp holds the key in its first line and an extra in each other.
is_installed() {
  [ -f "$CPC_STAMP" ] && [ -x "$CPC_VENV/bin/cpc-keras" ] &&
    [ "$(head -n 1 "$CPC_STAMP")" = "$1" ] && grep -qx "extra $2" "$CPC_STAMP"
}

# install_extra KEY EXTRA LOG: the editable install. No stamp stands while it runs, so that one cut
# short is taken up again.
install_extra() {
  local earlier=""
  if [ -f "$CPC_STAMP" ] && [ "$(head -n 1 "$CPC_STAMP")" = "$1" ]; then
    earlier="$(sed 1d "$CPC_STAMP")"
  fi
  rm -f "$CPC_STAMP"
  # A global `user = true` of pip's configuration is refused inside a virtual environment.
  run_logged "$3" env PIP_USER=0 "$CPC_VENV/bin/python" -m pip install -e "${CPC_ROOT}[$2]" ||
    return 1
  {
    echo "$1"
    [ -z "$earlier" ] || echo "$earlier"
    echo "extra $2"
  } >"$CPC_STAMP.new" && mv "$CPC_STAMP.new" "$CPC_STAMP"
}

# prepare_environment EXTRA: .venv with cpc_keras (editable) and the extra; fast where it is there.
prepare_environment() {
  local extra="$1" state python key version log
  state="$(venv_state "$CPC_VENV")"
  if [ "$state" = foreign ]; then
    say "$CPC_VENV is there, but it is not a virtual environment alone; expected one, or nothing." \
      "It is left untouched: move it away and start again."
    return 1
  fi
  if [ "$state" = usable ]; then
    python="$CPC_VENV/bin/python"
    version="$(python_version "$python")"
    if ! version_fits "$version"; then
      say "$CPC_VENV holds Python $version; expected $CPC_PYTHON_RANGE. Move it away and start again."
      return 1
    fi
    if [ -n "${PYTHON:-}" ] && [ "$(python_version "$PYTHON")" != "$version" ]; then
      say "note: .venv with Python $version is reused; PYTHON=$PYTHON counts when .venv is made anew."
    fi
    key="$(installation_key)" || return 1
    is_installed "$key" "$extra" && return 0
    # The environment's own base, should pip be missing in it.
    python="$("$python" -c 'import sys; print(sys._base_executable)')"
  else
    python="$(choose_python)" || return 1
  fi

  log="$(mktemp "${TMPDIR:-/tmp}/cpc-keras-environment.XXXXXX")" || return 1
  if [ "$state" != usable ]; then
    if [ "$state" = broken ]; then
      say "$CPC_VENV is half made or its Python is gone: making it anew."
      # A link keeps its place; what it points to is emptied.
      find "$CPC_VENV/" -mindepth 1 -delete || return 1
    fi
    say "making .venv with $python (Python $(python_version "$python"))"
    if ! make_venv "$python" "$log"; then
      explain_failure "making the virtual environment $CPC_VENV" "$log"
      say "Install what $python lacks: Debian, Ubuntu: apt install python$(python_version "$python")-venv;" \
        "elsewhere: $python -m pip install virtualenv"
      return 1
    fi
  fi
  if ! ensure_pip "$python" "$log"; then
    explain_failure "putting pip into $CPC_VENV" "$log"
    # What was made in this run goes again, so that the next may choose another Python.
    [ "$state" = usable ] || find "$CPC_VENV/" -mindepth 1 -delete
    say "Install what $python lacks: Debian, Ubuntu: apt install python$(python_version "$python")-venv;" \
      "elsewhere: $python -m pip install virtualenv"
    return 1
  fi
  say "installing cpc-keras[$extra] into .venv (minutes the first time; log: $log)"
  key="$(installation_key)" || return 1
  if ! install_extra "$key" "$extra" "$log"; then
    explain_failure "pip install -e '.[$extra]'" "$log"
    return 1
  fi
  rm -f "$log"
}
