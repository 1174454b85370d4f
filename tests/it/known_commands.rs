//! Commands of other programs that the documents name.
//! Invariant: each stands with a file and a text in it, without which the command would not work.

/// Commands of other programs, and what of this repository each needs.
pub(crate) const KNOWN: &[(&str, &str, &str)] = &[
    ("cargo run --release -- demo", "src/demo/mod.rs", "//!"),
    ("cargo install --path .", "Cargo.toml", "name = \"portcullis\""),
    ("cargo build-static", ".cargo/config.toml", "build-static"),
    ("docker build -t portcullis .", "Dockerfile", "ENTRYPOINT [\"/portcullis\"]"),
    ("docker build --tag portcullis .", "Dockerfile", "ENTRYPOINT [\"/portcullis\"]"),
    (
        "docker run --read-only --cap-drop ALL --security-opt no-new-privileges --stop-timeout 40 \
         --publish 127.0.0.1:4180:4180 --volume \"$PWD/portcullis.yaml:/etc/portcullis/portcullis.yaml:ro\" --volume \"$PWD/secrets:/run/secrets:ro\" \
         --env PORTCULLIS_LISTEN=0.0.0.0:4180 portcullis",
        "Dockerfile",
        "EXPOSE 4180\n",
    ),
    (
        "docker run --rm --volume \"$PWD/portcullis.yaml:/etc/portcullis/portcullis.yaml:ro\" \
         --volume \"$PWD/secrets:/run/secrets:ro\" portcullis check --online",
        "Dockerfile",
        "CMD [\"run\"]",
    ),
    ("docker buildx create --use", "Dockerfile", "FROM --platform=$BUILDPLATFORM"),
    (
        "docker buildx build --platform linux/amd64,linux/arm64 --tag registry.example.com/portcullis:0.1.0 \
         --label org.opencontainers.image.revision=\"$(git rev-parse HEAD)\" --push .",
        "Dockerfile",
        "amd64) target=x86_64-unknown-linux-gnu compiler=gcc-x86-64-linux-gnu ;; \\\n      arm64) ",
    ),
    (
        "docker buildx build --tag registry.example.com/portcullis:0.1.0 --push \
         --cache-from type=registry,ref=registry.example.com/portcullis:cache \
         --cache-to type=registry,ref=registry.example.com/portcullis:cache,mode=max .",
        "Dockerfile",
        "COPY Cargo.toml Cargo.lock ./\nRUN ",
    ),
    (
        "docker buildx imagetools inspect rust:1.95.0-slim-bookworm",
        "Dockerfile",
        "rust:1.95.0-slim-bookworm@sha256:",
    ),
    ("cargo test", "tests/it/main.rs", "mod"),
    ("tests/run", "tests/run", "cargo test"),
    ("cargo test --test two_instances -- --long", "tests/two_instances/main.rs", "--long"),
    ("nginx -t", "deploy/nginx/portcullis.conf", "server {"),
    ("systemctl reload nginx", "deploy/nginx/portcullis.conf", "server {"),
    ("haproxy -c -f /etc/haproxy/haproxy.cfg", "deploy/haproxy/haproxy.cfg", "frontend"),
    ("systemctl reload haproxy", "deploy/haproxy/haproxy.cfg", "frontend"),
    (
        "caddy validate --adapter caddyfile --config /etc/caddy/Caddyfile",
        "deploy/caddy/Caddyfile",
        "forward_auth",
    ),
    ("systemctl reload caddy", "deploy/caddy/Caddyfile", "forward_auth"),
    ("traefik --configFile=/etc/traefik/traefik.yml", "deploy/traefik/traefik.yml", "entryPoints"),
    ("envoy --mode validate -c /etc/envoy/envoy.yaml", "deploy/envoy/envoy.yaml", "ext_authz"),
    ("systemctl daemon-reload", "deploy/systemd/portcullis.service", "ExecStart="),
    (
        "systemctl enable --now portcullis.socket portcullis-redirect.socket portcullis.service",
        "deploy/systemd/portcullis-redirect.socket",
        "Service=portcullis.service",
    ),
    // tests/real/manifests.rs renders the folder.
    (
        "kubectl kustomize sidecar",
        "deploy/kubernetes/sidecar/kustomization.yaml",
        "kind: Kustomization",
    ),
    (
        "kubectl kustomize traefik",
        "deploy/kubernetes/traefik/kustomization.yaml",
        "kind: Kustomization",
    ),
    (
        "kubectl apply -k sidecar",
        "deploy/kubernetes/sidecar/kustomization.yaml",
        "kind: Kustomization",
    ),
    (
        "kubectl -n wiki rollout status deployment/wiki",
        "tests/kubernetes/sidecar.yaml",
        "kind: Deployment",
    ),
    (
        "kubectl apply -k traefik",
        "deploy/kubernetes/traefik/kustomization.yaml",
        "kind: Kustomization",
    ),
    (
        "kubectl -n portcullis rollout status deployment/portcullis",
        "tests/kubernetes/traefik.yaml",
        "kind: Deployment",
    ),
    (
        "docker compose -f deploy/compose/demo.yaml up --build",
        "deploy/compose/demo.yaml",
        "build: ../..",
    ),
    (
        "install -m 0400 -o 65534 -g 65534 /dev/stdin client_secret",
        "deploy/compose/sidecar.yaml",
        "file: ./client_secret",
    ),
    (
        "install -d -m 0700 -o 65534 -g 65534 state",
        "deploy/compose/snapshot.yaml",
        "./state:/var/lib/portcullis",
    ),
    (
        "install -m 0400 -o 65534 -g 65534 /dev/stdin session_secret",
        "deploy/compose/snapshot.yaml",
        "file: ./session_secret",
    ),
    (
        "docker compose exec -T portcullis /portcullis explain --url https://wiki.example.com/page \
         --claims /dev/stdin < alice.json",
        "Dockerfile",
        "ENTRYPOINT [\"/portcullis\"]",
    ),
    (
        "docker compose run --rm portcullis check --online",
        "deploy/compose/sidecar.yaml",
        "\n  portcullis:\n",
    ),
    ("docker compose up -d", "deploy/compose/sidecar.yaml", "services:"),
    (
        "docker compose run --rm portcullis-1 check --online",
        "deploy/compose/redis.yaml",
        "portcullis-1:",
    ),
    (
        "docker compose up -d --wait --no-deps portcullis-1",
        "deploy/compose/redis.yaml",
        "portcullis-1:",
    ),
    (
        "docker compose up -d --wait --no-deps portcullis-2",
        "deploy/compose/redis.yaml",
        "portcullis-2:",
    ),
    (
        "install -m 0444 /dev/stdin redis_password",
        "deploy/compose/redis.yaml",
        "file: ./redis_password",
    ),
    ("envoy -c /etc/envoy/envoy.yaml", "deploy/envoy/envoy.yaml", "ext_authz"),
];
