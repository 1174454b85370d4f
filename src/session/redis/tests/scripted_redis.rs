//! A server that answers as a test says.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The answer to one command.
#[derive(Clone, Debug)]
pub(super) enum ScriptedReply {
    /// These bytes.
    Say(String),
    /// These bytes to the first such command, and nothing from then on.
    Once(String),
    /// These bytes, once it is notified.
    After(Arc<Notify>, String),
    /// Nothing, and nothing to what follows.
    Silence,
    /// The end of the connection.
    Close,
}

/// What an empty server answers.
pub(super) fn usual(words: &[&str]) -> ScriptedReply {
    let answer = match words {
        ["HELLO", ..] => {
            "%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.0\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
        }
        ["PING"] => "+PONG\r\n",
        ["GET", _] => "$-1\r\n",
        ["PTTL", _] => ":-2\r\n",
        ["UNLINK" | "EXISTS" | "PEXPIRE", ..] => ":0\r\n",
        ["CONFIG" | "INFO", ..] => "-NOPERM no permissions\r\n",
        _ => "+OK\r\n",
    };
    ScriptedReply::Say(answer.to_owned())
}

/// A server, which ends with the test.
pub(super) struct ScriptedRedis {
    pub(super) address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl ScriptedRedis {
    /// `answer` gets the number of the connection, from 1, and the words of the command.
    pub(super) async fn start(
        answer: impl Fn(usize, &[&str]) -> ScriptedReply + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<String>>>::default();
        let all = Arc::clone(&received);
        let task = tokio::spawn(async move {
            for number in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (answer, all) = (answer.clone(), Arc::clone(&all));
                tokio::spawn(serve(stream, all, move |words: &[&str]| answer(number, words)));
            }
        });
        Self { address, received, task }
    }

    /// All commands so far.
    pub(super) fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for ScriptedRedis {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    received: Arc<Mutex<Vec<String>>>,
    answer: impl Fn(&[&str]) -> ScriptedReply,
) {
    let mut stream = BufReader::new(stream);
    let mut once = BTreeSet::new();
    while let Some(words) = command(&mut stream).await {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        received.lock().unwrap().push(words.join(" "));
        let text = match answer(&words) {
            ScriptedReply::Say(text) => text,
            ScriptedReply::Once(text) if once.insert(words.join(" ")) => text,
            ScriptedReply::After(gate, text) => {
                gate.notified().await;
                text
            }
            ScriptedReply::Once(_) | ScriptedReply::Silence => std::future::pending().await,
            ScriptedReply::Close => return,
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The words of a command: `*N`, then `$LENGTH` and the word, N times.
async fn command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for _ in 0..number(stream).await? {
        let mut word = vec![0; number(stream).await? + 2];
        stream.read_exact(&mut word).await.ok()?;
        words.push(String::from_utf8_lossy(&word[..word.len() - 2]).into_owned());
    }
    Some(words)
}

async fn number(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.trim_end().get(1..)?.parse().ok()
}
