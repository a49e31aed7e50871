#!/usr/bin/env bash
# Makes .venv for this host: picks the stack, finds a Python that really starts,
# installs the stack's lock file and the project. BUILD.md explains the choices.
#
#   scripts/setup_env.sh            set up, or say that .venv is up to date
#   scripts/setup_env.sh --choose   only print the stack, the Python and the reason
#
# Environment:
#   CLAIMPT_MIN_FREE_GB   whole GB that must be free before an installation (default 4)
#   PYENV_ROOT            where pyenv keeps its versions (default ~/.pyenv)
#   uv's and pip's own variables (index, cache, proxy) are honoured.

set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
tools=$root/.uv
log=$tools/setup.log
stamp=$venv/.claimpt-ready
min_free_gb=${CLAIMPT_MIN_FREE_GB:-4} # 3.4 for the environment, the rest for downloads
compiled_package=pyfarmhash # the only one in the locks without a wheel that is C++

say() { printf 'set-up: %s\n' "$*"; }
die() {
  printf 'set-up failed: %s\n' "$*" >&2
  exit 1
}

at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# --- The host and its Pythons ------------------------------------------------

check_host() {
  local system machine
  system=$(uname -s) machine=$(uname -m)
  glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed -n 's/^glibc //p') || true
  if [ "$system $machine" != "Linux x86_64" ] || [ -z "$glibc" ] ||
    ! at_least "$glibc" 2.28; then
    die "TFX has wheels for Linux on x86_64 with glibc 2.28 or newer only, and" \
      "this host is $system $machine with ${glibc:+glibc }${glibc:-another C library};" \
      "use the container image in pipeline/Dockerfile."
  fi
}

# Prints "X.Y PATH" of the interpreter behind $1, past shims and virtual
# environments; fails if it does not start or lacks what the stack needs.
probe() {
  timeout 20 "$1" -I -c '
import bz2, ctypes, lzma, os, sqlite3, ssl, sys, zlib
version = "%d.%d" % sys.version_info[:2]
base = os.path.join(sys.base_prefix, "bin", "python" + version)
print(version, base if os.access(base, os.X_OK) else sys.executable)
' 2>/dev/null </dev/null
}

# Candidates for Python $1 (X.Y), likeliest first; pyenv's versions newest first.
candidates() {
  local versions=${PYENV_ROOT:-${HOME:-/}/.pyenv}/versions
  type -ap "python$1" || true
  printf '%s\n' "$versions/$1".*/bin/"python$1" | sort -Vr
  type -ap python3 python || true
}

find_python() {
  local wanted=$1 candidate answer
  while read -r candidate; do
    [ -x "$candidate" ] || continue
    answer=$(probe "$candidate") || continue
    if [ "${answer%% *}" = "$wanted" ]; then
      python=${answer#* }
      return 0
    fi
  done < <(candidates "$wanted")
  find_uv || return 1
  candidate=$(UV_PYTHON_PREFERENCE=only-managed UV_PYTHON_DOWNLOADS=never \
    "$uv" python find --system --no-project "$wanted" 2>/dev/null) || return 1
  answer=$(probe "$candidate") || return 1
  [ "${answer%% *}" = "$wanted" ] || return 1
  python=${answer#* }
}

set_stack() {
  stack=$1 wanted=$2 reason=$3
  lock=$root/requirements/$stack.lock
}

choose() {
  python=""
  if at_least "$glibc" 2.39; then
    set_stack tfx1.21-py311 3.11 "glibc $glibc is 2.39 or newer and Python 3.11 starts"
    ! find_python 3.11 || return 0
    set_stack tfx1.16-py310 3.10 "glibc $glibc would do for TFX 1.21, but no Python 3.11 starts"
  else
    set_stack tfx1.16-py310 3.10 "glibc $glibc is older than the 2.39 that TFX 1.21 needs"
  fi
  ! find_python 3.10 || return 0
  if at_least "$glibc" 2.39; then
    set_stack tfx1.21-py311 3.11 "glibc $glibc is 2.39 or newer; uv fetched Python 3.11"
  else
    set_stack tfx1.16-py310 3.10 "glibc $glibc is older than 2.39; uv fetched Python 3.10"
  fi
  return 1
}

no_python() {
  local also=""
  at_least "$glibc" 2.39 || also=" (3.11 would need glibc 2.39, this host has $glibc)"
  die "No Python $wanted that starts, with ssl and sqlite3, was found on PATH, in" \
    "pyenv's versions or among uv's${also}, and none could be downloaded; install" \
    "Python $wanted, for example by 'pyenv install $wanted' or 'uv python install $wanted'."
}

# --- uv ----------------------------------------------------------------------

find_uv() {
  for uv in "$(type -p uv || true)" "$tools/bin/uv"; do
    [ -x "$uv" ] && "$uv" --version >/dev/null 2>&1 && return 0
  done
  return 1
}

# Any Python that starts can install uv; the chosen one is asked first.
bootstrap_uv() {
  local candidate version
  find "$tools" -mindepth 1 -maxdepth 1 ! -name lock ! -name setup.log \
    -exec rm -rf {} +
  while read -r candidate; do
    [ -x "$candidate" ] || continue
    version=$(timeout 20 "$candidate" -I -c \
      'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    at_least "$version" 3.8 || continue
    if "$candidate" -I -c 'import ensurepip, venv' 2>/dev/null; then
      "$candidate" -m venv "$tools" >"$log" 2>&1 || continue
      "$tools/bin/python" -m pip install --quiet 'uv>=0.5,<1' >>"$log" 2>&1 ||
        explain "uv"
    elif "$candidate" -m pip --version >/dev/null 2>&1; then
      "$candidate" -m pip install --quiet --target "$tools" 'uv>=0.5,<1' \
        >"$log" 2>&1 || explain "uv"
    else
      continue
    fi
    find_uv && return 0
  done < <(
    printf '%s\n' "$python"
    candidates 3.11
    candidates 3.10
    candidates 3
  )
  return 1
}

# --- Installing --------------------------------------------------------------

check_space() {
  local free made=0
  free=$(df -Pk "$root" | awk 'NR == 2 {print $4}')
  [ ! -d "$venv" ] || made=$(du -sk "$venv" 2>/dev/null | cut -f 1) || true
  if [ $((free + made)) -lt $((min_free_gb * 1024 * 1024)) ]; then
    die "The environment needs $min_free_gb GB, and the file system of $root has" \
      "$((free / 1024)) MB free; make room or clone the project elsewhere."
  fi
}

compiler_works() {
  local compiler
  for compiler in ${CXX:-} c++ g++; do
    ! echo '#include <string>' |
      "$compiler" -x c++ -fsyntax-only - >/dev/null 2>&1 || return 0
  done
  return 1
}

headers_exist() {
  "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
}

# Turns what uv or pip left in the log into one sentence.
explain() {
  local package
  if grep -qE 'No space left|os error 28' "$log"; then
    die "The disk filled up while installing $1: $min_free_gb GB are needed for .venv" \
      "and as much again for uv's cache if that is on another disk."
  fi
  if grep -qE 'Failed to build|build backend' "$log"; then
    compiler_works ||
      die "$compiled_package has no wheel and no C++ compiler works here to build it;" \
        "install one (Debian and Ubuntu: apt-get install g++) and run again."
    headers_exist ||
      die "$compiled_package is built from source and $python lacks its C headers;" \
        "install them (Debian and Ubuntu: apt-get install python$wanted-dev)."
  fi
  if grep -qE 'Failed to (fetch|download)|error sending request|dns error|timed out|No matching distribution|onnection ?(refused|reset|Error)' "$log"; then
    # shellcheck disable=SC2016 # the backtick is uv's
    package=$(sed -nE 's/.*Failed to (fetch|download):? `?([^ `]+).*/\2/p' "$log" |
      sed -E 's#/+$##; s#.*/##' | head -n 1)
    die "Downloading ${package:-$1} failed: the package index cannot be reached (no" \
      "network, or a proxy or mirror to name in UV_DEFAULT_INDEX and PIP_INDEX_URL);" \
      "run again when it can, finished downloads are kept; details are in $log."
  fi
  die "Installing $1 failed; details are in $log."
}

install() { # what the log's reader is told, then uv pip's arguments
  local what=$1
  shift
  "$uv" pip install --python "$venv/bin/python" --no-deps --no-progress "$@" \
    >"$log" 2>&1 || explain "$what"
}

environment_key() {
  printf '%s %s %s' "$stack" "$(sha256sum <"$lock" | cut -c 1-16)" "$root"
}
project_key() {
  cat "$root/setup.py" "$root/claimpt_tf/__init__.py" | sha256sum | cut -c 1-16
}
venv_starts() {
  local answer
  answer=$(probe "$venv/bin/python") && [ "${answer%% *}" = "$wanted" ]
}
stamped() { [ -f "$stamp" ] && [ "$(sed -n "$1p" "$stamp")" = "$2" ]; }
write_stamp() {
  printf '%s\n' "$@" >"$stamp.new"
  mv "$stamp.new" "$stamp"
}

make_environment() {
  # A half-made or other environment is not repaired: uv's cache makes a new one
  # in seconds, and nothing stale can hide in it.
  if [ -e "$venv" ]; then
    say "rebuilding .venv: it is unfinished, or of another stack, lock or folder"
    rm -f "$stamp" # first: without it no remains pass for an environment
    rm -rf "$venv"
  fi
  "$uv" venv --quiet --no-project --python "$python" --prompt claimpt_tf "$venv" \
    >"$log" 2>&1 || die "$python cannot make a virtual environment; details are in $log."
  # First, so that a missing compiler shows before a gigabyte is downloaded.
  install "$compiled_package" "$(grep "^$compiled_package==" "$lock")"
  install "the packages of $stack" --build-constraints "$lock" -r "$lock"
  "$venv/bin/python" -c 'import ml_metadata' >"$log" 2>&1 ||
    die "ML Metadata's C++ library does not load here (TFX 1.21 needs libstdc++ of" \
      "GCC 14 or newer; Debian and Ubuntu: apt-get install libstdc++6); details are in $log."
  if ! "$venv/bin/python" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null; then
    say "warning: LightGBM will not load without OpenMP's library" \
      "(Debian and Ubuntu: apt-get install libgomp1)"
  fi
  write_stamp "$(environment_key)"
}

install_project() {
  # The lock holds setuptools and wheel, so that nothing needs to be downloaded.
  install "the project itself" --no-build-isolation --quiet --editable "$root"
  write_stamp "$(environment_key)" "$(project_key)"
}

up_to_date() {
  stamped 1 "$(environment_key)" && stamped 2 "$(project_key)" && venv_starts
}

# -----------------------------------------------------------------------------

main() {
  local began=$SECONDS found=true packages
  check_host
  choose || found=false
  if [ "${1:-}" = --choose ]; then
    $found || die "No Python 3.10, nor 3.11 with glibc 2.39 (this host has $glibc)," \
      "starts here; set-up would ask uv to download $wanted."
    printf '%s %s (%s)\n' "$stack" "$python" "$reason"
    return
  fi
  if $found && up_to_date; then
    say ".venv is up to date ($stack)"
    return
  fi

  check_space
  mkdir -p "$tools"
  exec 9>"$tools/lock"
  flock 9
  ! $found || ! up_to_date || return 0 # another set-up finished meanwhile
  if ! find_uv && ! bootstrap_uv; then
    $found || no_python
    die "uv is missing and no Python here has pip or venv to install it with; install" \
      "one of them (Debian and Ubuntu: apt-get install python3-venv)."
  fi
  if ! $found; then
    "$uv" python install --quiet "$wanted" >"$log" 2>&1 || no_python
    find_python "$wanted" || no_python
  fi

  say "$stack with $python, because $reason"
  if ! stamped 1 "$(environment_key)" || ! venv_starts; then
    packages=$(wc -l <"$lock")
    say "installing $packages packages, 3.4 GB, into .venv: under a minute when cached," \
      "some minutes the first time"
    make_environment
  fi
  install_project
  say "ready after $((SECONDS - began)) s"
}

main "$@"
