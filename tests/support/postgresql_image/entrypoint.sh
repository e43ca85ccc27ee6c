#!/bin/bash
# What the official image's entry point does for one who is not root, without its many options: a cluster is
# made once, by the password of POSTGRES_PASSWORD_FILE; scripts are run while nobody can come by the network.
set -Eeo pipefail

mkdir -p "$PGDATA"
# Volumes come with the bits of a group, which PostgreSQL refuses.
chmod 0700 "$PGDATA"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  [ -s "$POSTGRES_PASSWORD_FILE" ] || { echo "Error: superuser password is not specified." >&2; exit 1; }
  if ! getent passwd "$(id -u)" >/dev/null; then
    # initdb wants a name for whoever it runs as.
    names=$(mktemp -d)
    echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" > "$names/passwd"
    echo "postgres:x:$(id -g):" > "$names/group"
    export NSS_WRAPPER_PASSWD="$names/passwd" NSS_WRAPPER_GROUP="$names/group"
    export LD_PRELOAD=libnss_wrapper.so
  fi
  initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE"
  unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
  printf '\nhost all all all %s\n' "$(postgres -C password_encryption)" >> "$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  for script in /docker-entrypoint-initdb.d/*.sh; do
    if [ -x "$script" ]; then "$script"; else . "$script"; fi
  done
  pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
