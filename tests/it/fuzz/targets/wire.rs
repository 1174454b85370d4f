//! A gateway in this process and an application behind it, both on unix sockets, and bytes sent to it.
//! Invariant: everything runs on the calling thread, so that an input takes the same way each time.

use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::app::serve::BoundGateway;
use portcullis::clock::Clock;
use portcullis::config::{HostEnv, load};
use portcullis::server::{PassedSockets, Shutdown};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::h2;

/// A gateway with its application.
pub struct InProcessStack {
    /// Never dropped: a thread that ends cannot end a runtime.
    runtime: ManuallyDrop<Runtime>,
    folder: TempDir,
    received: Arc<Mutex<Vec<String>>>,
}

/// What came of some bytes.
pub struct Exchange {
    /// All that the gateway answered.
    pub answer: Vec<u8>,
    /// The head of each request that the application received, byte by byte in Latin-1.
    pub received: Vec<String>,
}

impl InProcessStack {
    /// Starts with a configuration, in which `LISTEN` and `UPSTREAM` are the sockets.
    pub fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = |name: &str| format!("\"unix:{}\"", folder.path().join(name).display());
        let text =
            config.replace("LISTEN", &socket(GATEWAY)).replace("UPSTREAM", &socket(APPLICATION));
        let source = HostEnv::fixed([("a.yaml".into(), text.into())], []);
        let (config, _) = load("a.yaml".as_ref(), &source).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let received = Arc::default();
        runtime.block_on(async {
            let listener = UnixListener::bind(folder.path().join(APPLICATION)).unwrap();
            tokio::spawn(serve(listener, Arc::clone(&received)));
            let clock = Clock::system();
            let opened = BoundGateway::open(&config, &clock, PassedSockets::default());
            tokio::spawn(opened.await.unwrap().serve(Shutdown::new(), None));
        });
        Self { runtime: ManuallyDrop::new(runtime), folder, received }
    }

    /// Sends bytes on a connection of their own, and no more.
    pub fn exchange(&self, request: &[u8]) -> Exchange {
        self.received.lock().unwrap().clear();
        let socket = self.folder.path().join(GATEWAY);
        let answer = self.runtime.block_on(async {
            let answer = timeout(PATIENCE, answer(&socket, request)).await;
            // All open work belongs to this input.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            // A connection ends after its client has sent everything.
            answer.unwrap()
        });
        Exchange { answer, received: self.received.lock().unwrap().clone() }
    }

    /// The message that answers a call of gRPC.
    pub fn call(&self, path: &str, message: &[u8]) -> Vec<u8> {
        let socket = self.folder.path().join(GATEWAY);
        self.runtime.block_on(async {
            let mut stream = UnixStream::connect(socket).await.unwrap();
            stream.write_all(&h2::call(path, message)).await.unwrap();
            let mut answer = Vec::new();
            let reading = async {
                loop {
                    assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "no answer");
                    if let Some(message) = h2::answer(&answer) {
                        return message;
                    }
                }
            };
            timeout(PATIENCE, reading).await.unwrap()
        })
    }
}

async fn answer(socket: &Path, request: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = UnixStream::connect(socket).await.unwrap().into_split();
    let send = async {
        // The gateway may close first.
        drop(writer.write_all(request).await);
        drop(writer.shutdown().await);
    };
    let receive = async {
        let mut answer = Vec::new();
        drop(reader.read_to_end(&mut answer).await);
        answer
    };
    tokio::join!(send, receive).1
}

/// Answers one request per connection, without content.
async fn serve(listener: UnixListener, received: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let received = Arc::clone(&received);
        tokio::spawn(async move {
            let mut head = String::new();
            while !head.contains("\r\n\r\n") {
                let mut bytes = [0; 4096];
                match stream.read(&mut bytes).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => head.extend(bytes[..count].iter().copied().map(char::from)),
                }
            }
            let end = head.find("\r\n\r\n").unwrap_or_default();
            head.truncate(end + 2);
            received.lock().unwrap().push(head);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            drop(stream.write_all(answer).await);
        });
    }
}

const GATEWAY: &str = "gateway.sock";
const APPLICATION: &str = "application.sock";
/// Long enough for a machine that stalls, and shorter than the deadline of a body.
const PATIENCE: Duration = Duration::from_secs(25);
