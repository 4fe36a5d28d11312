# The image of Gaoler: the program, nft with its libraries, and nothing else. No shell, nothing writable.
#
#   make image                                         with buildah, also where no registry can be reached
#   docker build -t gaoler:0.1.0 .
#   docker buildx build --platform linux/arm64 .       emulated, or on a builder of that kind
ARG RUST=docker.io/library/rust:1-bookworm
ARG DEBIAN=docker.io/library/debian:bookworm-slim

FROM ${RUST} AS build
WORKDIR /src
# What Gaoler stands on, in a layer of its own: it is built again only when Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src benches \
 && for name in $(sed -n '/^\[\[bench\]\]/{n;s/^name = "\(.*\)"/\1/p}' Cargo.toml); do echo 'fn main() {}' >"benches/$name.rs"; done \
 && echo 'fn main() {}' >src/main.rs && : >src/lib.rs \
 && cargo build --release --locked && rm -r src
COPY filters filters
COPY src src
# Their times may be older than what the layer above built of their empty likes.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

FROM ${DEBIAN} AS rootfs
RUN apt-get update \
 && apt-get install -y --no-install-recommends nftables libgcc-s1 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/gaoler /usr/local/bin/gaoler
COPY LICENSE /usr/share/doc/gaoler/copyright
# Both programs, what they are linked with, and their copyrights; and the name under which gaoler asks an API server
# (`helm test`).
RUN set -e; mkdir -p /image/etc /image/usr/share/doc; \
    for program in /usr/sbin/nft /usr/local/bin/gaoler; do \
      cp --parents "$program" /image; \
      ldd "$program" | awk '$2 == "=>" {print $3} $1 ~ /ld-linux/ {print $1}' >>/libraries; \
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
# The agent needs root and NET_ADMIN and is given both by its manifest; nothing else does.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/gaoler"]
