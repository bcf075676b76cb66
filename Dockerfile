# Airlock in a container. Nothing of it needs a privilege or an added capability:
#   docker build -t airlock . && docker run -p 9090:9090 -v airlock:/data airlock
# It also runs with `--user 1000` and with `--cap-drop ALL`; then workers have no users of their own, and `airlock doctor`
# inside says so.

FROM node:22-bookworm-slim AS ui
WORKDIR /src/static
COPY static/package.json static/package-lock.json static/.npmrc ./
RUN npm ci
COPY static .
RUN npm run build

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
COPY --from=ui /src/static/dist static/dist
RUN cargo build --release --locked --package airlock

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Airlock" \
      org.opencontainers.image.description="Runs AI agents' scripts with credentials that the agents never see" \
      org.opencontainers.image.licenses="MIT"
# What scripts run on; `venv` and `pip` are for images built on this one that add packages.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates python3 python3-pip python3-venv tzdata \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/airlock /usr/local/bin/airlock
# Whoever the container runs as makes the folder below it, for itself alone.
RUN mkdir -m 1777 /data
# `docker stop` kills after 10 s: scripts get 8 to end.
ENV AIRLOCK_LISTEN=0.0.0.0:9090 \
    AIRLOCK_DATA_DIR=/data/airlock \
    AIRLOCK_DRAIN=8
VOLUME /data
EXPOSE 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["airlock", "health"]
ENTRYPOINT ["airlock"]
CMD ["serve"]
