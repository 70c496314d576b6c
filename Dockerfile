# syntax=docker/dockerfile:1
# The operator's image. Each architecture is compiled on the machine that builds, so nothing is emulated.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag registry.example.com/pulumi-deployments-operator:0.1.0 --push .
FROM --platform=$BUILDPLATFORM rust:1.89-slim-bookworm AS build
ARG TARGETARCH
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake crossbuild-essential-$TARGETARCH \
    && rm -rf /var/lib/apt/lists/*
RUN case "$TARGETARCH" in \
      amd64) target=x86_64-unknown-linux-gnu ;; \
      arm64) target=aarch64-unknown-linux-gnu ;; \
      *) echo "no image is made for $TARGETARCH" >&2; exit 1 ;; \
    esac \
    && echo "$target" > /target \
    && rustup target add "$target"
ENV CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# The binary is all that a scan of the image can find, so what it was made of is written into it.
RUN cargo install cargo-auditable --version 0.7.7 --locked
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target,id=target-$TARGETARCH \
    cargo auditable build --release --locked --bin pulumi-deployments-operator --target "$(cat /target)" \
    && cp "target/$(cat /target)/release/pulumi-deployments-operator" /operator

# No shell, no package manager; with the certificates of public authorities. Nothing is written to its file system.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="pulumi-deployments-operator" \
      org.opencontainers.image.description="A Kubernetes operator that drives the Pulumi Deployments REST API declaratively" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /operator /usr/local/bin/pulumi-deployments-operator
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/pulumi-deployments-operator"]
CMD ["run"]
