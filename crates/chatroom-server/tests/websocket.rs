//! WebSocket at the level of bytes, in the manner of the Autobahn suite: fragmentation, control
//! frames, UTF-8, close codes, limits, and a close frame before every drop.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    reason = "a test that panics has failed"
)]

use std::io::{Read, Write};
use std::net::TcpStream;

use chatroom_server::Config;
use chatroom_testkit::TestServer;
use chatroom_testkit::server::PATIENCE;
use serde_json::{Value, json};

const TEXT: u8 = 0x81;
const TEXT_BEGIN: u8 = 0x01;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;

/// What a server must answer.
#[derive(Debug, PartialEq)]
enum Answer {
    /// The update that was sent, with a value of so many characters.
    Echo(usize),
    /// A complaint on the client's message topic.
    Complaint,
    Pong(Vec<u8>),
    /// A close frame with that code (`None` for an empty one), then the end of the stream.
    Close(Option<u16>),
    /// The end of the stream alone.
    Eof,
}

/// A client's frame, masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        medium @ 126..=65_535 => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
    bytes
}

fn frames(parts: &[(u8, &[u8])]) -> Vec<u8> {
    parts.iter().flat_map(|(first, payload)| frame(*first, payload)).collect()
}

fn update(value: &str) -> Vec<u8> {
    let change = json!({"type": "set", "value": value, "id": "x"});
    json!({"type": "update", "content": {"topic_name": "t", "change": change}}).to_string().into_bytes()
}

/// An update that is so many bytes long.
fn update_of(bytes: usize) -> (Vec<u8>, usize) {
    let value = bytes - update("").len();
    (update(&"x".repeat(value)), value)
}

struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    fn connect(server: &TestServer, room: usize) -> Self {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!(
            "GET /rooms/{room} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            server.address
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut wire = Self { stream, buffer: Vec::new() };
        while !wire.buffer.windows(4).any(|end| end == b"\r\n\r\n") {
            assert!(wire.fill(), "the handshake is answered");
        }
        let end = wire.buffer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(wire.buffer.drain(..end).collect()).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(head.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        for message in [
            json!({"type": "subscribe", "content": {"topic_name": "t", "type": "string"}}),
            json!({"type": "subscribe", "content": {"topic_name": "_chatroom/client_message/1", "type": "string"}}),
        ] {
            wire.stream.write_all(&frame(TEXT, message.to_string().as_bytes())).unwrap();
        }
        for _ in ["hello", "t", "client_message"] {
            wire.frame().unwrap();
        }
        wire
    }

    fn fill(&mut self) -> bool {
        let mut chunk = vec![0; 1 << 16];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend(&chunk[..count]);
                true
            }
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// The server's next frame; `None` at the end of the stream.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let size_bytes = match self.buffer.get(1) {
                Some(126) => 2,
                Some(127) => 8,
                _ => 0,
            };
            if self.buffer.len() >= 2 + size_bytes {
                let size = match size_bytes {
                    0 => usize::from(self.buffer[1]),
                    _ => self.buffer[2..2 + size_bytes].iter().fold(0, |size, byte| size << 8 | usize::from(*byte)),
                };
                let end = 2 + size_bytes + size;
                if self.buffer.len() >= end {
                    let frame: Vec<u8> = self.buffer.drain(..end).collect();
                    return Some((frame[0], frame[2 + size_bytes..].to_vec()));
                }
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn answer(&mut self) -> Answer {
        match self.frame() {
            None => Answer::Eof,
            Some((TEXT, payload)) => {
                let message: Value = serde_json::from_slice(&payload).unwrap();
                let value = message["content"]["change"]["value"].as_str().unwrap();
                match message["content"]["topic_name"].as_str() {
                    Some("t") => Answer::Echo(value.chars().count()),
                    _ => Answer::Complaint,
                }
            }
            Some((PONG, payload)) => Answer::Pong(payload),
            Some((CLOSE, payload)) => {
                Answer::Close(payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]])))
            }
            Some((first, _)) => panic!("an unexpected frame {first:#x}"),
        }
    }
}

struct Cases {
    server: TestServer,
    ran: usize,
}

impl Cases {
    #[track_caller]
    fn check(&mut self, what: &str, bytes: &[u8], expected: &[Answer]) {
        self.check_pieces(what, &[bytes], expected);
    }

    /// Sends the pieces apart; after the expected answers the connection lives, unless it closed.
    #[track_caller]
    fn check_pieces(&mut self, what: &str, pieces: &[&[u8]], expected: &[Answer]) {
        self.ran += 1;
        let mut wire = Wire::connect(&self.server, self.ran);
        for piece in pieces {
            if wire.stream.write_all(piece).is_err() {
                break;
            }
        }
        for (index, answer) in expected.iter().enumerate() {
            assert_eq!(wire.answer(), *answer, "{what}, answer {index}");
        }
        if matches!(expected.last(), Some(Answer::Close(_))) {
            assert_eq!(wire.answer(), Answer::Eof, "{what}: the stream ends after the close frame");
        } else {
            wire.stream.write_all(&frame(TEXT, &update("still here"))).unwrap();
            assert_eq!(wire.answer(), Answer::Echo(10), "{what}: the connection lives");
        }
    }
}

#[test]
fn byte_level_cases() {
    let server = TestServer::start(Config::default());
    let mut cases = Cases { server, ran: 0 };
    let close = |code: u16| [Answer::Close(Some(code))];
    let echo = |value: usize| [Answer::Echo(value)];

    // Sizes around every length class.
    cases.check("an empty message", &frame(TEXT, b""), &[Answer::Complaint]);
    cases.check("a message of one byte", &frame(TEXT, b"x"), &[Answer::Complaint]);
    for bytes in [125, 126, 127, 128, 65_535, 65_536, 1_000_000] {
        let (message, value) = update_of(bytes);
        cases.check(&format!("a message of {bytes} bytes"), &frame(TEXT, &message), &echo(value));
    }

    // Fragmentation.
    let message = update("fragments");
    let (head, tail) = message.split_at(20);
    cases.check("two fragments", &frames(&[(TEXT_BEGIN, head), (LAST, tail)]), &echo(9));
    let (middle, end) = tail.split_at(30);
    cases.check("three fragments", &frames(&[(TEXT_BEGIN, head), (MORE, middle), (LAST, end)]), &echo(9));
    cases.check("an empty first fragment", &frames(&[(TEXT_BEGIN, b""), (LAST, &message)]), &echo(9));
    cases.check("an empty last fragment", &frames(&[(TEXT_BEGIN, &message), (LAST, b"")]), &echo(9));
    cases.check("empty fragments only", &frames(&[(TEXT_BEGIN, b""), (MORE, b""), (LAST, b"")]), &[Answer::Complaint]);
    let bytewise: Vec<u8> = message
        .iter()
        .enumerate()
        .flat_map(|(index, byte)| {
            let first = if index == 0 {
                TEXT_BEGIN
            } else if index + 1 == message.len() {
                LAST
            } else {
                MORE
            };
            frame(first, &[*byte])
        })
        .collect();
    cases.check("a fragment a byte", &bytewise, &echo(9));
    let whole = frame(TEXT, &message);
    let bytes: Vec<&[u8]> = whole.chunks(1).collect();
    cases.check_pieces("a frame byte by byte", &bytes, &echo(9));
    cases.check_pieces("fragments byte by byte", &bytewise.chunks(1).collect::<Vec<_>>(), &echo(9));
    cases.check(
        "several messages at once",
        &[whole.clone(), whole.clone(), whole.clone()].concat(),
        &[Answer::Echo(9), Answer::Echo(9), Answer::Echo(9)],
    );

    // Control frames.
    cases.check("a ping", &frame(PING, b""), &[Answer::Pong(vec![])]);
    cases.check("a ping with 125 bytes", &frame(PING, &[7; 125]), &[Answer::Pong(vec![7; 125])]);
    cases.check("a ping with 126 bytes", &frame(PING, &[7; 126]), &close(1002));
    let pings: Vec<u8> = (0..10).flat_map(|index| frame(PING, &[index])).collect();
    let pongs: Vec<Answer> = (0..10).map(|index| Answer::Pong(vec![index])).collect();
    cases.check("ten pings", &pings, &pongs);
    cases.check_pieces(
        "a ping byte by byte",
        &frame(PING, b"ab").chunks(1).collect::<Vec<_>>(),
        &[Answer::Pong(b"ab".to_vec())],
    );
    cases.check(
        "a ping inside fragments",
        &frames(&[(TEXT_BEGIN, head), (PING, b"p"), (LAST, tail)]),
        &[Answer::Pong(b"p".to_vec()), Answer::Echo(9)],
    );
    cases.check("a pong nobody asked for", &frame(PONG, b"x"), &[]);
    cases.check("a fragmented ping", &frame(0x09, b"x"), &close(1002));
    cases.check("a fragmented close", &frame(0x08, b""), &close(1002));

    // Reserved bits and opcodes, masking, sequence of fragments.
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.check(&format!("the reserved opcode {opcode}"), &frame(0x80 | opcode, b""), &close(1002));
    }
    for (name, bit) in [("RSV1", 0x40), ("RSV2", 0x20), ("RSV3", 0x10)] {
        cases.check(&format!("{name} on a text"), &frame(TEXT | bit, &message), &close(1002));
        cases.check(&format!("{name} on a ping"), &frame(PING | bit, b""), &close(1002));
    }
    cases.check("an unmasked frame", &[TEXT, 2, b'{', b'}'], &close(1002));
    cases.check("a continuation of nothing", &frame(LAST, b"x"), &close(1002));
    cases.check("a new text inside fragments", &frames(&[(TEXT_BEGIN, head), (TEXT, &message)]), &close(1002));
    cases.check("a binary message", &frame(0x82, b"x"), &close(1003));
    cases.check("a bad frame after a good message", &[whole.clone(), frame(LAST, b"x")].concat(), &close(1002));

    // UTF-8.
    let emoji = update("a😀b");
    let inside = emoji.iter().position(|byte| *byte == 0xf0).unwrap() + 2;
    cases.check(
        "a code point over two fragments",
        &frames(&[(TEXT_BEGIN, &emoji[..inside]), (LAST, &emoji[inside..])]),
        &echo(3),
    );
    for (name, bad) in [
        ("a lone continuation byte", &[0x80][..]),
        ("an overlong slash", &[0xc0, 0xaf]),
        ("a surrogate", &[0xed, 0xa0, 0x80]),
        ("beyond U+10FFFF", &[0xf4, 0x90, 0x80, 0x80]),
        ("a cut code point", &[0xf0, 0x9f, 0x98]),
        ("the byte FF", &[0xff]),
    ] {
        cases.check(&format!("not UTF-8: {name}"), &frame(TEXT, bad), &close(1007));
        cases.check(
            &format!("not UTF-8 in the last fragment: {name}"),
            &frames(&[(TEXT_BEGIN, b"ok"), (LAST, bad)]),
            &close(1007),
        );
    }
    cases.check("not UTF-8 in an unfinished message", &frame(TEXT_BEGIN, &[b'a', 0xff, b'b']), &close(1007));

    // Closing.
    let closing = |code: u16, reason: &[u8]| frame(CLOSE, &[&code.to_be_bytes(), reason].concat());
    cases.check("an empty close", &frame(CLOSE, b""), &[Answer::Close(None)]);
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.check(&format!("the close code {code}"), &closing(code, b"bye"), &close(code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.check(&format!("the invalid close code {code}"), &closing(code, b""), &close(1002));
    }
    cases.check("a close of one byte", &frame(CLOSE, b"x"), &close(1002));
    cases.check("a close reason of 123 bytes", &closing(1000, &[b'x'; 123]), &close(1000));
    cases.check("a close reason of 124 bytes", &closing(1000, &[b'x'; 124]), &close(1002));
    cases.check("a close reason that is not UTF-8", &closing(1000, &[0xff]), &close(1007));
    cases.check("a message after the close", &[closing(1000, b""), whole.clone()].concat(), &close(1000));
    cases.check("a ping after the close", &[closing(1000, b""), frame(PING, b"x")].concat(), &close(1000));

    // Limits: over the message limit is refused with an answer, over four times it closes.
    let (big, _) = update_of(1_100_000);
    cases.check("a message over the limit", &frame(TEXT, &big), &[Answer::Complaint]);
    let (huge, _) = update_of(5 << 20);
    cases.check("a frame over four times the limit", &frame(TEXT, &huge), &close(1009));
    cases.check(
        "a frame that says it is huge",
        &[TEXT, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        &close(1009),
    );
    let parts: Vec<u8> =
        (0..6).flat_map(|index| frame(if index == 0 { TEXT_BEGIN } else { MORE }, &vec![b'x'; 1 << 20])).collect();
    cases.check("fragments over four times the limit", &parts, &close(1009));

    assert!(cases.ran >= 48, "{} cases", cases.ran);
}

#[test]
fn a_dropped_socket_leaves_nothing() {
    let server = TestServer::default();
    drop(Wire::connect(&server, 1));
    let mut cut = Wire::connect(&server, 2);
    cut.stream.write_all(&frame(TEXT, &update("x"))[..9]).unwrap();
    drop(cut);
    chatroom_testkit::server::wait_until("both clients to be gone", || {
        ["1", "2"].iter().all(|name| {
            let room = chatroom_server::protocol::RoomName::parse(name).unwrap();
            server.counts_of(&room).is_none_or(|counts| counts.clients == 0 && counts.subscriptions == 0)
        })
    });
}
