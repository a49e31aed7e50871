#!/usr/bin/env bash
# Runs the fast tests, then the slow ones whatever became of the fast, and fails if
# either failed. Arguments go to pytest.

set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

failed=() ran=0
run() { # a name for the closing line, then pytest's marker expression
  # Two processes: half the time on two cores. tests/conftest.py says who does what.
  .venv/bin/python -m pytest -n "${PYTEST_WORKERS:-2}" --no-loadscope-reorder \
    -m "$2" "${@:3}"
  local status=$?
  # 5: nothing was selected, as when the arguments pick tests of the other kind.
  [ $status -eq 5 ] || ran=$((ran + 1))
  [ $status -eq 0 ] || [ $status -eq 5 ] || failed+=("$1 (exit $status)")
}

run fast "not slow" "$@"
run slow "slow" "${@:-tests}" # no module is imported again for its doctests

[ $ran -gt 0 ] || failed+=("no test was found")
if [ ${#failed[@]} -gt 0 ]; then
  (
    IFS=,
    printf 'tests failed: %s\n' "${failed[*]}" >&2
  )
  exit 1
fi
echo "tests passed: fast and slow"
