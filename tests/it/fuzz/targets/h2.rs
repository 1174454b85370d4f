//! One call of gRPC as bytes of HTTP/2, and the message of its answer.
//! Invariant: nothing is compressed or indexed, so that a reader sees what is sent.

/// A connection with one call: the message, after its prefix.
pub fn call(path: &str, message: &[u8]) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "auth"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut head = Vec::new();
    for (name, value) in fields {
        // A literal field that is not indexed (RFC 7541 §6.2.2), without Huffman code.
        head.push(0);
        for text in [name, value] {
            head.push(u8::try_from(text.len()).unwrap());
            head.extend_from_slice(text.as_bytes());
        }
    }
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let body = [&[0][..], &length, message].concat();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frame(HEADERS, END_HEADERS, STREAM, &head));
    let mut pieces = body.chunks(16_384).peekable();
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_STREAM } else { 0 };
        bytes.extend(frame(DATA, flags, STREAM, piece));
    }
    bytes
}

/// The message of the answer; `None` while it is not complete.
pub fn answer(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut body, mut heads) = (Vec::new(), 0);
    loop {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let &[a, b, c, kind, flags, d, e, f, g] = head else { return None };
        let (payload, rest) =
            rest.split_at_checked(usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap())?;
        bytes = rest;
        assert!(!matches!(kind, RST_STREAM | GOAWAY), "{kind}: {payload:?}");
        if u32::from_be_bytes([d, e, f, g]) != STREAM {
            continue;
        }
        match kind {
            HEADERS => {
                heads += 1;
                // `:status: 200` of the static table (RFC 7541 appendix A).
                assert!(heads > 1 || payload.first() == Some(&0x88), "{payload:?}");
                if flags & END_STREAM > 0 {
                    assert_eq!(heads, 2, "the status of the call is in its trailers");
                    break;
                }
            }
            DATA => body.extend_from_slice(payload),
            _ => {}
        }
    }
    let message = body.split_off(5);
    assert_eq!(body[..], [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()].concat());
    Some(message)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The bytes of a frame before its payload.
pub const HEAD: usize = 9;
const STREAM: u32 = 1;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
