//! A name server on its usual port, for a network of the test's own.

use std::net::Ipv4Addr;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Knows one name, which is that of this machine.
pub(super) struct NameServer(JoinHandle<()>);

impl NameServer {
    pub(super) async fn start(name: &str) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).await.unwrap();
        let labels =
            name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
        let name: Vec<_> = labels.chain([0]).collect();
        Self(tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut query).await {
                let answer = answer(&query[..length], &name);
                socket.send_to(&answer, client).await.unwrap();
            }
        }))
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The answer to a query (RFC 1035 §4.1): the address for the name, and that there is no other name.
fn answer(query: &[u8], name: &[u8]) -> Vec<u8> {
    const HEAD: usize = 12;
    const QUERY_FOR_ADDRESS: [u8; 4] = [0, 1, 0, 1];
    let length = query[HEAD..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let question = &query[HEAD..HEAD + length + 4];
    let known = question.starts_with(name);
    let address = known && question.ends_with(&QUERY_FOR_ADDRESS);
    let code = if known { 0 } else { 3 };
    let mut answer =
        [&query[..2], &[0x81, 0x80 | code, 0, 1, 0, u8::from(address), 0, 0, 0, 0], question]
            .concat();
    if address {
        // The name of the question, for a second.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    answer
}
