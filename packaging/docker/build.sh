#!/bin/sh
# Puts the programs into /out, for both Dockerfiles: compiled for the machine that the image is for, or taken from the
# folder $PREBUILT of the builder's image.
set -eu

mkdir -p /out
if [ -n "${PREBUILT:-}" ]; then
    cp -- "$PREBUILT"/* /out/
    exit
fi

# BuildKit sets the target machine; the classic builder does not, and builds for its own.
here=$(rustc -vV | sed -n 's/^host: //p')
case "${TARGETARCH:-}" in
    '')      target=$here ;;
    amd64)   target=x86_64-unknown-linux-gnu      gnu=x86_64-linux-gnu      debian=amd64 ;;
    arm64)   target=aarch64-unknown-linux-gnu     gnu=aarch64-linux-gnu     debian=arm64 ;;
    arm)     target=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf   debian=armhf ;;
    ppc64le) target=powerpc64le-unknown-linux-gnu gnu=powerpc64le-linux-gnu debian=ppc64el ;;
    riscv64) target=riscv64gc-unknown-linux-gnu   gnu=riscv64-linux-gnu     debian=riscv64 ;;
    s390x)   target=s390x-unknown-linux-gnu       gnu=s390x-linux-gnu       debian=s390x ;;
    *) echo "build.sh: no Rust target is known for TARGETARCH=$TARGETARCH: add it to packaging/docker/build.sh" >&2; exit 1 ;;
esac

# Compiled on this machine for that one: emulating it would take hours.
if [ "$target" != "$here" ]; then
    apt-get update
    apt-get install -y --no-install-recommends "crossbuild-essential-$debian"
    rustup target add "$target"
    name=$(echo "$target" | tr - _)
    export "CC_$name=$gnu-gcc"
    export "CARGO_TARGET_$(echo "$name" | tr a-z A-Z)_LINKER=$gnu-gcc"
fi

cargo build --release --locked --package ocluster --bins --target "$target"
cd "target/$target/release"
cp -- ocluster ocluster-scheduler ocluster-worker ocluster-client ocluster-admin obuilder /out/
