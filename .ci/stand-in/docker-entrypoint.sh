#!/usr/bin/env bash
# Answers to the same variables and init folder as the entrypoint of the official postgres image.
set -euo pipefail

# `docker run IMAGE -c work_mem=64MB` means the server; any other command is the caller's own.
[[ ${1:--} != -* ]] || set -- postgres "$@"
[[ $1 == postgres ]] || exec "$@"

if [[ $EUID == 0 ]]; then
    # A volume may come from anywhere, and PostgreSQL refuses both to run as root and to use what others may read.
    install -d -o postgres -g postgres -m 0700 "$PGDATA"
    install -d -o postgres -g postgres -m 3777 /var/run/postgresql
    find "$PGDATA" ! -user postgres -exec chown postgres {} +
    export HOME=/var/lib/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

[[ ! -s $PGDATA/PG_VERSION ]] || exec "$@"

: "${POSTGRES_USER:=postgres}" "${POSTGRES_PASSWORD:=}" "${POSTGRES_INITDB_ARGS:=}" "${POSTGRES_HOST_AUTH_METHOD:=}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
export POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB

if [[ -z $POSTGRES_PASSWORD && $POSTGRES_HOST_AUTH_METHOD != trust ]]; then
    cat >&2 <<'MESSAGE'
Error: the database is not initialised yet, and its superuser was given no password.
       Set POSTGRES_PASSWORD ("docker run -e POSTGRES_PASSWORD=..."), or let everybody in without one by
       POSTGRES_HOST_AUTH_METHOD=trust, which is not recommended.
MESSAGE
    exit 1
fi

# The init scripts of others count on this name.
docker_process_sql() {
    psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"
}

# eval, because the caller may quote inside POSTGRES_INITDB_ARGS. The password stays out of the process list.
eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"$POSTGRES_INITDB_ARGS"

method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "${@:2}")}
printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"

# Socket only: nobody may take a half-initialised server for a ready one.
pg_ctl -w -o "$(printf '%q ' "${@:2}" -c listen_addresses= -c "port=${PGPORT:-5432}")" start
export PGHOST=/var/run/postgresql

if [[ $POSTGRES_DB != postgres ]]; then
    docker_process_sql --dbname postgres -v db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db"'
fi

for file in /docker-entrypoint-initdb.d/*; do
    case $file in
        *.sh)
            # Sourced when it cannot be executed: a mount may have lost the bit.
            if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
        *.sql) docker_process_sql -f "$file" ;;
        *.sql.gz) gunzip -c "$file" | docker_process_sql ;;
        *) echo "$0: ignoring $file" ;;
    esac
done

pg_ctl -m fast -w stop
unset PGHOST
# Wait strategies look for exactly this line.
echo 'PostgreSQL init process complete; ready for start up.'
exec "$@"
