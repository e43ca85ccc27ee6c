#!/bin/bash
# Job of a session. It is the same text for everybody: all that differs comes by the environment
# (see job.py), and no value of it is ever read as shell text. No srun, so that MPI inside can use it.
set -eu

if [ -n "${PANHUB_MODULES:-}" ]; then
    # The site's file may use unset variables and commands that fail.
    set +eu
    # shellcheck source=/dev/null
    . "${PANHUB_MODULES_INIT:?}"
    mapfile -t names <<<"$PANHUB_MODULES"
    for name in "${names[@]}"; do
        # Environment Modules knows no "--": what looks like an option is none of our names.
        if [[ "$name" == -* ]] || ! module load "$name"; then
            echo "The module $name could not be loaded on $(uname -n)." >&2
            # node.py sends these lines to the service, and ends.
            export PANHUB_FAILED_MODULE="$name"
            break
        fi
    done
    set -eu
fi

exec "$PANHUB_PYTHON" -I -S "$PANHUB_SESSION_CODE/node.py"
