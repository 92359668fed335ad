# The scheduler, with what an operator and a client need, in the place of upstream's image: the same entry point and working
# directory. It is not run by root: see docs/containers.md.
#
#     docker build -t ocluster-scheduler .
#
# Any base images will do that have a C compiler and Rust, and Debian's usual programs.
ARG BUILDER_IMAGE=rust:1-trixie
ARG RUNTIME_IMAGE=debian:trixie-slim

# Both Dockerfiles have this stage word for word, so that whichever is built second finds it done. The builder runs on the
# machine that builds, and compiles for the one that the image is for; "linux" is what the classic builder reads.
FROM --platform=${BUILDPLATFORM:-linux} ${BUILDER_IMAGE} AS build
ARG TARGETARCH
# A folder of the builder's image with programs that have been built already, instead of compiling them.
ARG PREBUILT
WORKDIR /src
COPY . .
RUN sh packaging/docker/build.sh

FROM ${RUNTIME_IMAGE}
LABEL org.opencontainers.image.title="ocluster-scheduler" \
      org.opencontainers.image.description="Manages pools of build machines" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
RUN groupadd --gid 10001 ocluster \
 && useradd --uid 10001 --gid ocluster --no-create-home --home-dir /var/lib/ocluster-scheduler ocluster \
 && install -d -m 0700 -o ocluster -g ocluster /var/lib/ocluster-scheduler /var/lib/ocluster-scheduler/capnp-secrets
COPY --from=build /out/ocluster-scheduler /out/ocluster-admin /out/ocluster-client /usr/local/bin/
WORKDIR /var/lib/ocluster-scheduler
VOLUME /var/lib/ocluster-scheduler
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 9000
# The scheduler writes this file every 5 s.
ENV OCLUSTER_HEALTH_FILE=/tmp/ocluster.health
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 \
    CMD find "$OCLUSTER_HEALTH_FILE" -newermt '-30 seconds' | grep -q . || { echo "no sign of life for 30 s"; exit 1; }
# SIGTERM reaches it, and it starts no programs: it needs no init.
ENTRYPOINT ["/usr/local/bin/ocluster-scheduler"]
