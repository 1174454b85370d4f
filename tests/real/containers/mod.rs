//! A stand-in for a container engine: the services of a compose file as processes of this machine.
//! Invariant: a process gets what `docker-compose config` prints for its service: command, environment, secrets, network
//! namespace, addresses and published ports. There are no images, so a test names the program of each service.

mod docker_api;
mod networks;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use networks::Networks;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinSet;

use crate::component::{Edits, free_address};
use crate::support::wait::until;

/// What `docker-compose config` prints for a file of `deploy/compose`, after replacements, each of which must apply.
pub(crate) fn config(file: &str, edits: Edits<'_>) -> Value {
    config_of(&[file], edits)
}

/// The same for a file with others that add to it.
pub(crate) fn config_of(files: &[&str], edits: Edits<'_>) -> Value {
    let paths: Vec<_> = files.iter().map(|file| root().join("deploy/compose").join(file)).collect();
    let (output, file) = (docker_compose(&paths), files.join(" and "));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{file}: {complaint}");
    assert_eq!(complaint, "", "{file}: a warning");
    let mut config: Value = serde_yaml::from_slice(&output.stdout).unwrap();
    let mut applied = vec![false; edits.len()];
    edit(&mut config, &mut |text| {
        // What it prints is a compose file again, where `$$` is a dollar.
        *text = text.replace("$$", "$");
        for ((from, to), applied) in edits.iter().zip(&mut applied) {
            *applied |= text.contains(from);
            *text = text.replace(from, to);
        }
    });
    assert!(!applied.contains(&false), "{file}: {edits:?} {applied:?}");
    config
}

/// Runs `docker-compose config`, which needs no engine.
pub(crate) fn docker_compose(files: &[impl AsRef<Path>]) -> Output {
    let mut command = Command::new("docker-compose");
    for file in files {
        command.arg("-f").arg(file.as_ref());
    }
    command.arg("config");
    command.env_remove("DEMO_PORT").env_remove("DEMO_PROVIDER_PORT").stdin(Stdio::null());
    let output = command.output();
    output.unwrap_or_else(|error| panic!("docker-compose, which tests/run installs: {error}"))
}

fn edit(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| edit(item, change)),
        Value::Object(fields) => fields.values_mut().for_each(|field| edit(field, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The services of one file. They end with it.
pub(crate) struct Engine {
    services: Value,
    networks: Networks,
    /// The names of networks that a file names for other programs.
    network_names: BTreeMap<String, String>,
    /// Holds the secrets, the logs and the sockets.
    folder: TempDir,
    /// Holds the namespaces: a user and mount namespace, and the network namespace of the engine itself.
    holder: Child,
    running: BTreeMap<String, Child>,
    /// Forwarders of connections between the namespaces.
    forwarders: Vec<Child>,
    tasks: JoinSet<()>,
}

impl Engine {
    /// Makes the networks, and the secrets with this content; starts no service.
    pub(crate) fn new(config: Value, secret: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let networks = Networks::of(&config);
        fs::write(folder.path().join("hosts"), networks.hosts()).unwrap();
        for (name, _) in config["secrets"].as_object().into_iter().flatten() {
            fs::write(folder.path().join(name), secret).unwrap();
        }
        let network_names = config["networks"].as_object().into_iter().flatten();
        let network_names = network_names
            .filter_map(|(key, network)| Some((key.clone(), network["name"].as_str()?.to_owned())));
        let network_names = network_names.collect();
        let hosts = folder.path().join("hosts");
        let script = format!(
            "set -e\nmount -t tmpfs tmpfs /run\nmount --bind {} /etc/hosts\n{}echo ready\nexec cat\n",
            hosts.display(),
            networks.script()
        );
        // It ends when its input does.
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "--net", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "cannot make namespaces");
        Self {
            services: config["services"].clone(),
            networks,
            network_names,
            folder,
            holder,
            running: BTreeMap::new(),
            forwarders: Vec::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Starts our binary as this service.
    pub(crate) fn run(&mut self, service: &str) {
        self.run_program(service, portcullis(), &[]);
    }

    /// Starts a program as this service, with more arguments.
    pub(crate) fn run_program(&mut self, service: &str, program: &Path, more: &[String]) {
        let log = fs::File::create(self.path(&format!("{service}.log"))).unwrap();
        let mut command = self.container(service);
        command.arg(program).args(self.command(service)).args(more);
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.running.insert(service.to_owned(), child);
    }

    /// Waits until the health check of the service succeeds.
    pub(crate) async fn healthy(&mut self, service: &str) {
        let test = texts(&self.services[service]["healthcheck"]["test"]);
        assert_eq!(test[..2], ["CMD", "/portcullis"], "{service}");
        until(&format!("{service} is healthy"), async || {
            let ended = self.running.get_mut(service).unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "{service}: {}", self.log(service));
            let words: Vec<_> = test[2..].iter().map(String::as_str).collect();
            self.portcullis(service, &words).status.success()
        })
        .await;
    }

    /// Runs our binary to its end in the container of a service.
    pub(crate) fn portcullis(&self, service: &str, arguments: &[&str]) -> Output {
        self.container(service).arg(portcullis()).args(arguments).output().unwrap()
    }

    /// Publishes the ports of a service at addresses of loopback. As with an engine, connections come from the bridge.
    pub(crate) async fn publish(&mut self, service: &str) -> BTreeMap<u16, SocketAddr> {
        let to = self.networks.address(service);
        let ports = self.services[service]["ports"].as_array().unwrap().iter().map(target);
        let ports: Vec<_> = ports.map(|port| (port, free_address())).collect();
        for (port, here) in &ports {
            let mut command = Command::new("systemd-socket-activate");
            command.args(["-l", &here.to_string(), "/usr/bin/nsenter"]).args(self.target());
            self.forward(command.args([FORWARDER, &format!("{to}:{port}")]));
            let listens = async || TcpStream::connect(here).await.is_ok();
            until(&format!("{service} is published"), listens).await;
        }
        ports.into_iter().collect()
    }

    /// Makes an address of this process reachable at the same address in the container of a service.
    pub(crate) fn reach(&mut self, service: &str, address: SocketAddr) {
        let path = self.path(&format!("outside-{service}.sock"));
        let listener = UnixListener::bind(&path).unwrap();
        self.tasks.spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let Ok(mut outside) = TcpStream::connect(address).await else { return };
                    copy_bidirectional(&mut inside, &mut outside).await.ok();
                });
            }
        });
        let mut command = self.enter(service);
        command.args(["systemd-socket-activate", "-l", &address.to_string(), FORWARDER, &path]);
        self.forward(&mut command);
    }

    /// Answers as a container engine at the socket that a service mounts.
    pub(crate) fn serve_docker_api(&mut self) {
        let services = self.services.as_object().unwrap().keys();
        let containers = services.map(|name| {
            let networks = self.networks.of_service(name);
            let networks = networks.map(|(name, at)| {
                (self.network_names.get(name).unwrap_or(name), json!({ "IPAddress": at }))
            });
            json!({
                "Id": name,
                "Name": format!("/{name}"),
                "State": { "Status": "running", "Running": true },
                "HostConfig": { "NetworkMode": "project_default" },
                "Config": { "Labels": self.services[name]["labels"] },
                "NetworkSettings": { "Ports": {}, "Networks": networks.collect::<BTreeMap<_, _>>() },
            })
        });
        let containers = containers.collect();
        docker_api::serve(Path::new(&self.path("docker.sock")), containers, &mut self.tasks);
    }

    /// Ends a service as an engine does, and waits for it.
    pub(crate) fn stop(&mut self, service: &str) -> ExitStatus {
        let mut child = self.running.remove(service).unwrap();
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        child.wait().unwrap()
    }

    /// Everything that a service has written so far.
    pub(crate) fn log(&self, service: &str) -> String {
        fs::read_to_string(self.path(&format!("{service}.log"))).unwrap()
    }

    /// The path of a file in the folder of the engine.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The command of a service, else that of the image.
    fn command(&self, service: &str) -> Vec<String> {
        let command = &self.services[service]["command"];
        if !command.is_null() {
            return texts(command);
        }
        let file = fs::read_to_string(root().join("Dockerfile")).unwrap();
        let command = file.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
        serde_json::from_str(command).unwrap()
    }

    /// A command in the container of a service, with its secrets, its mounted sockets and its environment alone.
    fn container(&self, service: &str) -> Command {
        let spec = &self.services[service];
        let mut script =
            "set -e\nmkdir -p /run/secrets\nmount -t tmpfs tmpfs /run/secrets\n".to_owned();
        for secret in spec["secrets"].as_array().into_iter().flatten() {
            let name = secret["source"].as_str().unwrap();
            script += &format!("cp {} /run/secrets/{name}\n", self.path(name));
        }
        for volume in texts(&spec["volumes"]).iter().filter(|volume| volume.starts_with('/')) {
            // A test makes the folder.
            let target = volume.split(':').nth(1).unwrap();
            if Path::new(target).is_dir() {
                continue;
            }
            assert_eq!(volume, "/var/run/docker.sock:/var/run/docker.sock:ro");
            let socket = self.path("docker.sock");
            script += &format!("touch /run/docker.sock\nmount --bind {socket} /run/docker.sock\n");
        }
        script += "exec env -i \"$@\"\n";
        let mut command = self.enter(service);
        command.args(["sh", "-c", &script, "sh"]);
        for (name, value) in spec["environment"].as_object().into_iter().flatten() {
            command.arg(format!("{name}={}", value.as_str().unwrap()));
        }
        command
    }

    /// A command in the network namespace of a service.
    fn enter(&self, service: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.target());
        command.args(["ip", "netns", "exec", self.networks.namespace(service)]);
        command.stdin(Stdio::null());
        command
    }

    /// The arguments of `nsenter` for the namespaces of the engine.
    fn target(&self) -> [String; 6] {
        let id = self.holder.id().to_string();
        ["--target", &id, "--user", "--preserve-credentials", "--mount", "--net"].map(str::to_owned)
    }

    fn forward(&mut self, command: &mut Command) {
        let command = command.stdin(Stdio::null()).stderr(Stdio::null());
        self.forwarders.push(command.spawn().unwrap());
    }
}

impl Drop for Engine {
    #[expect(clippy::print_stdout, reason = "a test that fails shows it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in self.running.keys() {
                println!("{name}:\n{}", self.log(name));
            }
        }
        let children = self.running.values_mut().chain(&mut self.forwarders);
        for child in children.chain([&mut self.holder]) {
            // Both fail only where the process has ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The port within the container of an entry of `ports`.
fn target(port: &Value) -> u16 {
    let short = port.as_str().map(|text| text.rsplit(':').next().unwrap());
    let long = || port["target"].as_u64().unwrap().to_string();
    let target = short.map_or_else(long, |text| text.trim_end_matches("/tcp").to_owned());
    target.parse().unwrap()
}

/// The texts of a list; none if there is no list.
fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn portcullis() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_portcullis"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Forwards the connections of the socket that it is given.
const FORWARDER: &str = "/lib/systemd/systemd-socket-proxyd";
