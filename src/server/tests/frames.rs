//! HTTP/2 frames that no client library would send.

use super::*;
use crate::server::tests::full::evicting;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET http:/` with and without `:authority: a`, in HPACK.
const BLOCK: &[u8] = b"\x82\x86\x84\x41\x01a";
const BLOCK_WITHOUT_AUTHORITY: &[u8] = b"\x82\x86\x84";

/// `GET http:/large` and `GET http:/wait`.
const LARGE: &[u8] = b"\x82\x86\x04\x06/large\x41\x01a";
const WAIT: &[u8] = b"\x82\x86\x04\x05/wait\x41\x01a";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The kind and payload of each frame.
fn parse(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while bytes.len() >= 9 {
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        let (frame, rest) = bytes.split_at((9 + length).min(bytes.len()));
        frames.push((frame[3], &frame[9..]));
        bytes = rest;
    }
    frames
}

async fn send(running: &Running, frames: &[u8]) -> Vec<u8> {
    let mut stream = running.connect().await;
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let sending = async {
        drop(writer.write_all(PREFACE).await);
        drop(writer.write_all(frames).await);
    };
    let reading = timeout(SOON, reader.read_to_end(&mut answer));
    let ((), read) = tokio::join!(sending, reading);
    drop(read.expect("the server closes"));
    answer
}

fn short_keep_alive() -> Settings {
    let timeouts =
        ServerTimeouts { keep_alive: Duration::from_millis(200), ..ServerTimeouts::default() };
    Settings { timeouts, ..settings() }
}

#[tokio::test]
async fn request_without_authority_is_rejected() {
    let running = Running::start(short_keep_alive()).await;
    let status = async |block| {
        let answer = send(&running, &frame(HEADERS, END_STREAM | END_HEADERS, 1, block)).await;
        let frames = parse(&answer);
        let head = frames.iter().find(|(kind, _)| *kind == HEADERS).expect("an answer");
        // The status follows the updates of the table's size.
        *head.1.iter().find(|byte| **byte & 0x80 != 0).expect("a status")
    };
    // This client does not react to GOAWAY either, and is cut.
    let both = tokio::join!(status(BLOCK), status(BLOCK_WITHOUT_AUTHORITY));
    assert_eq!(both, (0x88, 0x8c), "`:status: 200` and `:status: 400`");
}

/// A server at its limit of one connection, which has a request under way.
async fn full() -> (Running, TcpStream) {
    let limits = Limits { connections: 1, ..Limits::default() };
    let running = Running::start(Settings { limits, ..settings() }).await;
    let mut busy = running.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    running.app.waiting.notified().await;
    (running, busy)
}

#[tokio::test]
async fn over_limit_http2_connection_gets_a_response_and_goaway() {
    let (running, _busy) = full().await;
    let answer = send(&running, &frame(HEADERS, END_STREAM | END_HEADERS, 1, BLOCK)).await;
    let kinds: Vec<u8> = parse(&answer).iter().map(|(kind, _)| *kind).collect();
    assert!(kinds.contains(&HEADERS) && kinds.contains(&GOAWAY), "{kinds:?}");
    assert_eq!(running.app.seen(), ["/wait"]);
}

#[tokio::test]
async fn evicted_http2_connection_gets_goaway() {
    let limits = Limits { connections: 1, ..Limits::default() };
    // With and without a stream.
    for streams in [frame(HEADERS, END_STREAM | END_HEADERS, 1, BLOCK), Vec::new()] {
        let running = Running::start(Settings { limits, ..settings() }).await;
        let mut idle = running.connect().await;
        idle.write_all(&[PREFACE, &streams[..]].concat()).await.unwrap();
        while next(&mut idle).await.0 != if streams.is_empty() { SETTINGS } else { HEADERS } {}
        let mut other = evicting(&running).await;
        assert!(answer(&mut other).await.starts_with("HTTP/1.1 200"));
        let mut rest = Vec::new();
        drop(timeout(SOON, idle.read_to_end(&mut rest)).await.expect("it closes"));
        let kinds: Vec<u8> = parse(&rest).iter().map(|(kind, _)| *kind).collect();
        assert!(kinds.contains(&GOAWAY), "{kinds:?}");
    }
}

#[tokio::test]
async fn rapid_resets_close_the_connection() {
    let running = Running::start(settings()).await;
    let requests = (0..2000).map(|count| count * 2 + 1).flat_map(|stream| {
        let mut request = frame(HEADERS, END_STREAM | END_HEADERS, stream, BLOCK);
        request.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        request
    });
    let answer = send(&running, &requests.collect::<Vec<_>>()).await;
    let frames = parse(&answer);
    let goaway = frames.iter().find(|(kind, _)| *kind == GOAWAY).expect("GOAWAY");
    assert_eq!(goaway.1[7], 11, "ENHANCE_YOUR_CALM");
    assert!(running.app.seen().len() < 100);
}

#[tokio::test]
async fn endless_continuations_close_the_connection() {
    let running = Running::start(settings()).await;
    let mut frames = frame(HEADERS, END_STREAM, 1, BLOCK);
    // `x: yyy…` without indexing, over and over.
    let field = [b"\0\x01x\x7f\x01".as_slice(), &[b'y'; 128]].concat();
    for _ in 0..400 {
        frames.extend(frame(CONTINUATION, 0, 1, &field.repeat(100)));
    }
    send(&running, &frames).await;
    assert_eq!(running.app.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn only_streams_that_the_client_stalls_are_reset() {
    const SHORT: Duration = Duration::from_millis(200);
    let timeouts = ServerTimeouts { write: SHORT, keep_alive: SHORT, ..ServerTimeouts::default() };
    let running = Running::start(Settings { timeouts, ..settings() }).await;
    let mut stream = running.connect().await;
    // SETTINGS_INITIAL_WINDOW_SIZE is 0 from here on.
    let mut frames = [PREFACE, &frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\0")].concat();
    for (stream, block) in [(WAITS, WAIT), (3, LARGE), (5, LARGE), (7, LARGE)] {
        frames.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, block));
    }
    stream.write_all(&frames).await.unwrap();
    let mut cut = Vec::new();
    while cut.len() < 3 {
        let (kind, number) = next(&mut stream).await;
        assert_ne!(number, WAITS, "the server has not answered it yet");
        if kind == RST_STREAM {
            cut.push(number);
        }
    }
    cut.sort_unstable();
    assert_eq!(cut, [3, 5, 7]);
    running.app.go.notify_one();
    while next(&mut stream).await != (RST_STREAM, WAITS) {}
    // This client does not react to GOAWAY, and is cut.
    until_closed(&mut stream).await;
}

/// The stream that the server answers late.
const WAITS: u32 = 1;

/// The kind of the next frame, and its stream.
async fn next(stream: &mut (impl AsyncReadExt + Unpin)) -> (u8, u32) {
    let read = async {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a frame");
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.expect("its payload");
        (head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]))
    };
    timeout(SOON, read).await.expect("a frame in time")
}
