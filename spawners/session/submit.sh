#!/bin/sh
# sbatch and salloc as a session has them: the real ones, which do not take over the session's own
# allocation. Else srun in the new job asks for the session's CPUs (SRUN_CPUS_PER_TASK, SLURM_CPUS_PER_TASK)
# or meets two settings of memory at once. The session's token stays here too: no other job needs it.
unset SRUN_CPUS_PER_TASK JUPYTERHUB_API_TOKEN JPY_API_TOKEN PANHUB_LAUNCH_ID PANHUB_DEADLINE_FILE
for name in $(env | sed -n 's/^\(SLURM_[A-Z0-9_]*\)=.*/\1/p'); do
    case "$name" in
        SLURM_CONF | SLURM_WCKEY | SLURM_JWT | SLURM_CLUSTERS | SLURM_*FORMAT*) ;;
        *) unset "$name" ;;
    esac
done

program=${0##*/}
own=$(dirname "$0")
IFS=:
for folder in $PATH; do
    if [ "$folder" != "$own" ] && [ -x "$folder/$program" ]; then
        unset IFS
        exec "$folder/$program" "$@"
    fi
done
echo "$program: there is none on this node." >&2
exit 127
