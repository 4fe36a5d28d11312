# The image of Gaoler: the program, nft with its libraries, and nothing else. No shell, nothing writable.
#
#   make image                                         with buildah, also where no registry can be reached
#   docker build -t gaoler:0.1.0 .
#   docker buildx build --platform linux/arm64 .       cross-built: nothing of the other kind runs meanwhile
ARG RUST=docker.io/library/rust:1-bookworm
ARG DEBIAN=docker.io/library/debian:bookworm-slim

FROM --platform=$BUILDPLATFORM ${RUST} AS build
ARG TARGETARCH
# For another kind of processor than this one: its linker, C library and Rust's own library. What cargo must know of it
# stands in /cross.
RUN set -e; touch /cross; \
    if [ "${TARGETARCH:=$(dpkg --print-architecture)}" != "$(dpkg --print-architecture)" ]; then \
      case $TARGETARCH in amd64) cpu=x86_64 ;; arm64) cpu=aarch64 ;; *) echo "not built for $TARGETARCH" >&2; exit 1 ;; esac; \
      apt-get update; \
      apt-get install -y --no-install-recommends "gcc-$(echo $cpu | tr _ -)-linux-gnu" "libc6-dev-$TARGETARCH-cross"; \
      rm -rf /var/lib/apt/lists/*; \
      target=$cpu-unknown-linux-gnu; \
      [ -d "$(rustc --target $target --print target-libdir)" ] || rustup target add $target; \
      echo "export CARGO_BUILD_TARGET=$target" >/cross; \
      echo "export CARGO_TARGET_$(echo $target | tr a-z- A-Z_)_LINKER=$cpu-linux-gnu-gcc" >>/cross; \
    fi
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY filters filters
COPY src src
# What was built before is kept by the builder, outside every layer: with another Cargo.lock only what is new in it is
# built, with other sources only Gaoler itself. Times are set because cargo goes by them, and builders set their own.
RUN --mount=type=cache,id=gaoler-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=gaoler-target,target=/src/target,sharing=locked \
    mkdir benches \
 && for name in $(sed -n '/^\[\[bench\]\]/{n;s/^name = "\(.*\)"/\1/p}' Cargo.toml); do echo 'fn main() {}' >"benches/$name.rs"; done \
 && find src filters -type f -exec touch {} + \
 && . /cross \
 && cargo build --release --locked \
 && install -m 755 "target/${CARGO_BUILD_TARGET:-.}/release/gaoler" /usr/local/bin/gaoler

FROM --platform=$BUILDPLATFORM ${DEBIAN} AS rootfs
ARG TARGETARCH
RUN dpkg --add-architecture "${TARGETARCH:=$(dpkg --print-architecture)}" \
 && apt-get update \
 && apt-get install -y --no-install-recommends binutils "nftables:$TARGETARCH" "libgcc-s1:$TARGETARCH" \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/gaoler /usr/local/bin/gaoler
COPY --chmod=644 LICENSE /usr/share/doc/gaoler/copyright
# Both programs, what they are linked with (read from the files, as they may not run here), and their copyrights; and the
# name under which gaoler asks an API server (`helm test`).
RUN set -e; umask 022; mkdir -p /image/etc /image/usr/share/doc; \
    case ${TARGETARCH:-$(dpkg --print-architecture)} in amd64) cpu=x86_64 ;; arm64) cpu=aarch64 ;; esac; \
    linked() { \
      for library in $(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^ld-linux'); do \
        library=/lib/$cpu-linux-gnu/$library; \
        grep -qx "$library" /libraries || { echo "$library" >>/libraries; linked "$library"; }; \
      done; \
    }; \
    for program in /usr/sbin/nft /usr/local/bin/gaoler; do \
      cp --parents "$program" /image; \
      readelf -l "$program" | sed -n 's/.*program interpreter: \(.*\)\]/\1/p' >>/libraries; \
      linked "$program"; \
    done; \
    sort -u /libraries | xargs -I{} cp --parents -L {} /image; \
    sort -u /libraries | xargs -I{} sh -c 'dpkg -S "$(readlink -f {})" 2>/dev/null || dpkg -S "{}"' | cut -d: -f1 | sort -u >/packages; \
    for package in gaoler nftables $(cat /packages); do cp --parents "/usr/share/doc/$package/copyright" /image; done; \
    ln -s gaoler /image/usr/local/bin/kubectl-gaoler; \
    echo 'root:x:0:0::/:/sbin/nologin' >/image/etc/passwd; \
    echo 'gaoler:x:65532:65532::/:/sbin/nologin' >>/image/etc/passwd; \
    printf 'root:x:0:\ngaoler:x:65532:\n' >/image/etc/group; \
    echo 'hosts: files dns' >/image/etc/nsswitch.conf; \
    find /image -exec touch -h -d @0 {} +

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Gaoler" \
      org.opencontainers.image.description="fail2ban for Apache James on Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=rootfs /image/ /
ENV PATH=/usr/local/bin:/usr/sbin
# Large tables in mappings of their own, given back to the system when they are done with; by itself the C library stops
# that after the first one, and keeps half as much again.
ENV MALLOC_MMAP_THRESHOLD_=262144 MALLOC_ARENA_MAX=2
# The agent needs root and NET_ADMIN and is given both by its manifest; nothing else does.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/gaoler"]
