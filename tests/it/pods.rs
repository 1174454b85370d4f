//! The pods of the manifests in `tests/kubernetes`, as processes: command, environment, mounted files, probes, end.
//! Invariant: nothing in a manifest changes but the address of the pod, the paths of its mounts, and the machines that
//! a test names.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_yaml::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::source_files::root;
use crate::support::browser::Browser;
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::provider;
use crate::support::upstream::Upstream;
use crate::support::wait::Patience;
use crate::support::wire::{Wire, field, status};

/// The pod of a rendered manifest, and its container `portcullis`.
pub(crate) struct Pod {
    pub(crate) objects: Vec<Value>,
    pub(crate) spec: Value,
    pub(crate) container: Value,
    /// In place of `0.0.0.0`: an address of its own, so that the ports stay.
    address: Ipv4Addr,
}

/// Text of a manifest, and what is in its place.
pub(crate) type Edit<'a> = (&'a str, &'a str);

/// Values for the Secret, whose placeholders are empty.
pub(crate) const SECRETS: [Edit<'_>; 3] = [
    ("client_secret", "wiki-and-company"),
    ("session_secret", "a-secret-that-no-other-file-has-12345"),
    ("redis_password", "a-password-of-a-user-of-redis"),
];

impl Pod {
    pub(crate) fn of(manifest: &Path) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let text = fs::read_to_string(manifest).unwrap();
        let documents = serde_yaml::Deserializer::from_str(&text);
        let objects: Vec<_> = documents.map(|one| Value::deserialize(one).unwrap()).collect();
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
        let spec = deployment["spec"]["template"]["spec"].clone();
        let container = ["initContainers", "containers"]
            .iter()
            .flat_map(|name| list(&spec[name]))
            .find(|container| container["name"] == "portcullis");
        let container = container.unwrap().clone();
        let [high, low] = u16::try_from(std::process::id() % 0xffff).unwrap().to_be_bytes();
        let address = Ipv4Addr::new(127, NEXT.fetch_add(1, Ordering::Relaxed), high, low);
        Self { objects, spec, container, address }
    }

    /// Mounts the volumes of the container in a folder, as the kubelet does.
    pub(crate) fn mount(&self, secrets: &[Edit<'_>], edits: &[Edit<'_>]) -> TempDir {
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for mount in list(&self.container["volumeMounts"]) {
            let mut volumes = list(&self.spec["volumes"]).iter();
            let volume = volumes.find(|volume| volume["name"] == mount["name"]).unwrap();
            if !volume["persistentVolumeClaim"].is_null() {
                self.provision(&inside(&folder, mount["mountPath"].as_str().unwrap()));
                continue;
            }
            let (kind, source, name) = if volume["secret"].is_null() {
                ("ConfigMap", &volume["configMap"], "name")
            } else {
                ("Secret", &volume["secret"], "secretName")
            };
            let mut objects = self.objects.iter();
            let object = objects.find(|object| {
                object["kind"] == kind && object["metadata"]["name"] == source[name]
            });
            let data = object.unwrap()["data"].as_mapping().unwrap();
            let path = inside(&folder, mount["mountPath"].as_str().unwrap());
            fs::create_dir_all(path.join("..first")).unwrap();
            symlink("..first", path.join("..data")).unwrap();
            let mode = source["defaultMode"].as_u64().unwrap_or(0o644);
            for (name, text) in data {
                let (name, mut text) = (name.as_str().unwrap(), text.as_str().unwrap());
                if kind == "Secret" {
                    assert_eq!(text, "", "{name}: a placeholder");
                    text = secrets.iter().find(|(key, _)| *key == name).map_or("", |(_, to)| to);
                }
                let file = path.join("..first").join(name);
                fs::write(&file, self.edited(text, &folder, edits)).unwrap();
                let group = !self.spec["securityContext"]["fsGroup"].is_null();
                // A volume that is read-only gets these rights for the group of the pod.
                let mode = u32::try_from(mode).unwrap() | if group { 0o440 } else { 0 };
                fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
                if group && is_root() {
                    chown(&file, None, Some(self.id("fsGroup"))).unwrap();
                }
                symlink(Path::new("..data").join(name), path.join(name)).unwrap();
            }
        }
        folder
    }

    /// Makes an empty volume that the group of the pod can write to.
    fn provision(&self, path: &Path) {
        fs::create_dir_all(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o2770)).unwrap();
        if is_root() {
            chown(path, None, Some(self.id("fsGroup"))).unwrap();
        }
    }

    /// The command of the container, with `first` in place of its first argument, as its user.
    pub(crate) fn command(&self, first: &str, folder: &TempDir, edits: &[Edit<'_>]) -> Command {
        let mut command = self.command_of(&self.container, folder, edits);
        command.arg(first).args(self.arguments(&self.container, folder, edits).skip(1));
        command
    }

    /// The entry point of the image, with the variables of a container and as its user.
    fn command_of(&self, container: &Value, folder: &TempDir, edits: &[Edit<'_>]) -> Command {
        assert!(container["command"].is_null(), "the entry point of the image");
        let program = folder.path().join("portcullis");
        let built = env!("CARGO_BIN_EXE_portcullis");
        // `cp` is a process of its own: a file that this one has written may be busy.
        if !program.exists() && fs::hard_link(built, &program).is_err() {
            assert!(Command::new("cp").arg(built).arg(&program).status().unwrap().success());
        }
        let mut command = Command::new(program);
        command.env_clear().current_dir("/");
        for variable in list(&container["env"]) {
            let value = self.edited(variable["value"].as_str().unwrap(), folder, edits);
            command.env(variable["name"].as_str().unwrap(), value);
        }
        if is_root() {
            command.uid(self.id("runAsUser")).gid(self.id("runAsGroup"));
        }
        command
    }

    fn arguments(
        &self,
        container: &Value,
        folder: &TempDir,
        edits: &[Edit<'_>],
    ) -> impl Iterator<Item = String> {
        let arguments = list(&container["args"]).iter();
        arguments.map(|text| self.edited(text.as_str().unwrap(), folder, edits))
    }

    fn edited(&self, text: &str, folder: &TempDir, edits: &[Edit<'_>]) -> String {
        let mut text = text.replace("0.0.0.0:", &format!("{}:", self.address));
        for mount in list(&self.container["volumeMounts"]) {
            let path = mount["mountPath"].as_str().unwrap();
            text = text.replace(path, inside(folder, path).to_str().unwrap());
        }
        edits.iter().fold(text, |text, (from, to)| text.replace(from, to))
    }

    fn id(&self, name: &str) -> u32 {
        let contexts = [&self.container, &self.spec].map(|of| &of["securityContext"][name]);
        let found = contexts.into_iter().find_map(Value::as_u64);
        found.unwrap().try_into().unwrap()
    }

    /// The port of the container that has this name or number.
    pub(crate) fn port(&self, port: &Value) -> u16 {
        let mut ports = list(&self.container["ports"]).iter();
        let found = ports.find(|one| one["name"] == *port || one["containerPort"] == *port);
        let found = found.unwrap_or_else(|| panic!("{port:?} is no port of the container"));
        found["containerPort"].as_u64().unwrap().try_into().unwrap()
    }

    /// What a probe of the container gets; `None` while nothing listens.
    async fn probe(&self, kind: &str) -> Option<u16> {
        let probe = &self.container[kind]["httpGet"];
        self.get(self.port(&probe["port"]), probe["path"].as_str().unwrap()).await
    }

    /// Asks as this probe does until it gets this status.
    async fn until(&self, kind: &str, status: u16) {
        let patience = Patience::until(format!("{kind} gets {status}"));
        while self.probe(kind).await != Some(status) {
            patience.pause().await;
        }
    }

    async fn get(&self, port: u16, path: &str) -> Option<u16> {
        let mut wire = Wire::of(TcpStream::connect((self.address, port)).await.ok()?);
        let host = format!("Host: {}:{port}", self.address);
        wire.say(format!("GET {path} HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n")).await;
        Some(status(&wire.head().await))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn container_passes_its_probes_and_ends_within_its_grace_period() {
    let mut pods = JoinSet::new();
    // A pod that needs Redis is not ready without it.
    for manifest in manifests().into_iter().filter(|manifest| !needs_redis(manifest)) {
        pods.spawn(async move { live_and_end(&manifest).await });
    }
    pods.join_all().await;
}

async fn live_and_end(manifest: &Path) {
    let (pod, name) = (Pod::of(manifest), manifest.display());
    let folder = pod.mount(&SECRETS, &[]);
    let command = pod.command("run", &folder, &[]);
    let gateway = Gateway::start_command(command, folder);
    let probe = &pod.container["startupProbe"];
    let tries =
        probe["periodSeconds"].as_u64().unwrap() * probe["failureThreshold"].as_u64().unwrap();
    let started = Instant::now();
    pod.until("startupProbe", 200).await;
    assert!(started.elapsed() < Duration::from_secs(tries), "{name}");
    assert_eq!(pod.probe("readinessProbe").await, Some(200), "{name}");
    assert_eq!(pod.probe("livenessProbe").await, Some(200), "{name}");
    let http = pod.port(&4180.into());
    assert_eq!(pod.get(http, "/oauth2/ping").await, Some(200), "{name}");
    // Nothing but health and metrics is on the port of the probes, and neither is on the public one.
    let admin = pod.port(&"admin".into());
    assert_eq!(pod.get(admin, "/metrics").await, Some(200), "{name}");
    assert_eq!(pod.get(admin, "/oauth2/ping").await, Some(404), "{name}");
    assert_ne!(pod.get(http, "/readyz").await, Some(200), "{name}");
    let auth_endpoints_apart =
        list(&pod.container["ports"]).iter().any(|port| port["name"] == "auth");
    if auth_endpoints_apart {
        assert_eq!(pod.get(http, "/oauth2/auth").await, Some(404), "{name}");
        assert_eq!(pod.get(pod.port(&"auth".into()), "/oauth2/auth").await, Some(401), "{name}");
    }

    gateway.signal("TERM");
    // A sidecar ends after the application, when nothing comes any more.
    if pod.container["restartPolicy"].is_null() {
        pod.until("readinessProbe", 503).await;
        assert_eq!(pod.probe("livenessProbe").await, Some(200), "{name}");
        assert_eq!(
            pod.get(http, "/oauth2/ping").await,
            Some(200),
            "{name}: new connections are served"
        );
    }
    let ending = Instant::now();
    let status = tokio::task::spawn_blocking(|| gateway.wait()).await.unwrap();
    assert!(status.success(), "{name}: {status}");
    let grace = pod.spec["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(ending.elapsed() < Duration::from_secs(grace), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_is_alive_and_not_ready_until_its_redis_has_answered() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = closed.to_string();
    let edits = [("rediss://redis.redis.svc.cluster.local:6379", &*format!("redis://{closed}"))];
    let pod = Pod::of(&root().join("tests/kubernetes/traefik-with-redis.yaml"));
    let folder = pod.mount(&SECRETS, &edits);
    let command = pod.command("run", &folder, &edits);
    let _gateway = Gateway::start_command(command, folder);
    pod.until("startupProbe", 200).await;
    assert_eq!(pod.probe("readinessProbe").await, Some(503));
    assert_eq!(pod.probe("livenessProbe").await, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn user_signs_in_through_the_container() {
    let provider = provider::start(Duration::from_secs(60)).await;
    let upstream = Upstream::start().await;
    let application = format!("http://{}", upstream.address);
    let edits = [
        ("https://id.example.com/realms/main", provider.issuer()),
        ("https://wiki.example.com", PUBLIC_URL),
        ("http://wiki.wiki.svc.cluster.local:8080", &application),
    ];
    let pod = Pod::of(&root().join("tests/kubernetes/nginx-gateway-fabric.yaml"));
    let folder = pod.mount(&SECRETS, &edits);
    let command = pod.command("run", &folder, &edits);
    let gateway = Gateway::start_command(command, folder);
    let page = provider::sign_in(&mut Browser::new(&gateway), "/page", "alice").await;
    assert_eq!(page.json()["headers"]["x-forwarded-user"], "demo-alice", "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_written_to_the_volume_of_the_snapshot() {
    let pod = Pod::of(&root().join("tests/kubernetes/traefik-with-options.yaml"));
    let folder = pod.mount(&SECRETS, &[]);
    let snapshot = inside(&folder, "/var/lib/portcullis").join("sessions");
    let file = inside(&folder, "/etc/portcullis").join("portcullis.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let key = format!("session_secret}}\n  snapshot: {}", snapshot.display());
    fs::write(&file, text.replace("session_secret}", &key)).unwrap();
    let command = pod.command("run", &folder, &[]);
    let gateway = Gateway::start_command(command, folder);
    gateway.signal("TERM");
    let patience = Patience::until("the snapshot is written");
    while !snapshot.exists() {
        patience.pause().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_signs_in_through_the_sidecar_to_the_application_of_its_pod() {
    let provider = provider::start(Duration::from_secs(60)).await;
    let pod = Pod::of(&root().join("tests/kubernetes/sidecar.yaml"));
    let local = format!("{}:8080", pod.address);
    let edits = [
        ("127.0.0.1:8080", &*local),
        ("https://id.example.com/realms/main", provider.issuer()),
        ("https://wiki.example.com", PUBLIC_URL),
    ];
    let folder = pod.mount(&SECRETS, &edits);
    let application = &pod.spec["containers"][0];
    let mut command = pod.command_of(application, &folder, &edits);
    command.args(pod.arguments(application, &folder, &edits)).stdout(Stdio::null());
    let gateway = Gateway::start_command(pod.command("run", &folder, &edits), folder);
    let application = Running(command.spawn().unwrap());
    let patience = Patience::until("the application listens");
    while pod.get(8080, "/").await != Some(200) {
        patience.pause().await;
    }
    let page = provider::sign_in(&mut Browser::new(&gateway), "/page", "alice").await;
    assert!(page.body.contains("Hello, alice") && page.body.contains("demo-alice"), "{page:?}");
    drop(application);
    assert!(gateway.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_gets_the_identity_of_a_user_at_the_port_of_the_auth_endpoints() {
    let provider = provider::start(Duration::from_secs(60)).await;
    let pod = Pod::of(&root().join("tests/kubernetes/traefik.yaml"));
    let edits = [
        ("https://id.example.com/realms/main", provider.issuer()),
        ("https://wiki.example.com", PUBLIC_URL),
        // The network of the pods.
        ("10.244.0.0/16", "127.0.0.0/8"),
    ];
    let folder = pod.mount(&SECRETS, &edits);
    let command = pod.command("run", &folder, &edits);
    let gateway = Gateway::start_command(command, folder);
    let cookie = provider::cookie_of(&gateway, "company", "alice").await;
    let ask = async |cookie: &str| {
        let port = pod.port(&"auth".into());
        let mut wire = Wire::of(TcpStream::connect((pod.address, port)).await.unwrap());
        wire.say(format!(
            "GET /oauth2/forward_auth HTTP/1.1\r\nHost: portcullis.portcullis\r\n\
             X-Forwarded-Method: GET\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Uri: /page\r\n\
             X-Forwarded-Host: wiki.localhost\r\nX-Forwarded-For: 127.0.0.2\r\n{cookie}\r\n"
        ))
        .await;
        wire.head().await
    };
    assert_eq!(status(&ask("").await), 401);
    let answer = ask(&cookie).await;
    assert_eq!(status(&answer), 202, "{answer}");
    assert_eq!(field(&answer, "x-forwarded-user"), "demo-alice", "{answer}");
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The rendered manifests.
pub(crate) fn manifests() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("tests/kubernetes")).unwrap();
    let found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(found.len() > 5, "{found:?}");
    found
}

/// Whether the configuration of a manifest has its sessions in Redis.
pub(crate) fn needs_redis(manifest: &Path) -> bool {
    fs::read_to_string(manifest).unwrap().contains("rediss://")
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

fn inside(folder: &TempDir, path: &str) -> PathBuf {
    folder.path().join(path.trim_start_matches('/'))
}

/// Whether files and processes can get another user.
fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}
