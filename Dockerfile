# The gateway: one static file and a list of certificate authorities, run as uid 65534.
# deploy/image/README.md has the commands that build, run and push it. Docker 23, Podman 4 or newer can build it.

# The compiler that the tests use, by the digest of its image for all architectures. It runs on the architecture of the
# machine that builds, and compiles for the one that is asked for.
FROM --platform=$BUILDPLATFORM rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
ARG TARGETARCH
WORKDIR /src
# Static, and position-independent with a short list of relocations, which saves half a megabyte.
ENV RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# For another architecture: its standard library, C compiler and linker.
# hadolint ignore=DL3008
RUN case "$TARGETARCH" in \
      amd64) target=x86_64-unknown-linux-gnu compiler=gcc-x86-64-linux-gnu ;; \
      arm64) target=aarch64-unknown-linux-gnu compiler=gcc-aarch64-linux-gnu ;; \
      *) echo "the architecture '$TARGETARCH' is neither amd64 nor arm64" >&2; exit 1 ;; \
    esac \
 && echo "$target" > /target \
 && if [ "$TARGETARCH" != "$(dpkg --print-architecture)" ]; then \
      apt-get update \
      && apt-get install -y --no-install-recommends "$compiler" "libc6-dev-$TARGETARCH-cross" \
      && rm -rf /var/lib/apt/lists/* \
      && rustup target add "$target"; \
    fi
# The dependencies, a layer that is kept until these files change. Tests and benchmarks are not there, so the manifest
# must not name them. Cargo compares times, and would take these empty files for newer than the source.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
RUN sed -i '/^\[\[/,/^$/d' Cargo.toml \
 && mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs \
 && cargo build --release --locked --target "$(cat /target)" \
 && cargo clean --release --locked --target "$(cat /target)" --package portcullis
COPY deploy/image/rootfs deploy/image/rootfs
COPY src src
RUN cargo build --release --locked --target "$(cat /target)" \
 && deploy/image/rootfs "target/$(cat /target)/release/portcullis" /rootfs

FROM scratch
LABEL org.opencontainers.image.title="portcullis" \
      org.opencontainers.image.description="A reverse-proxy authentication gateway: OpenID Connect in front of applications that know nothing of it" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /rootfs /
USER 65534:65534
EXPOSE 4180
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/portcullis", "health"]
ENTRYPOINT ["/portcullis"]
# By the variables of its flags, by PORTCULLIS_CONFIG_TEXT, or by /etc/portcullis/portcullis.yaml.
CMD ["run"]
