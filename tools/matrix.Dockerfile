# Debian's own Python, and a PgBouncer that keeps prepared statements: what `python -m tools.matrix` runs in.
ARG SUITE
FROM debian:${SUITE}-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates pgbouncer python3 \
 && rm -rf /var/lib/apt/lists/*
