//! WebSocket frames as cheap as a load generator needs them: headers only, a mask of zeros.

use super::problem::{Outcome, Problem};

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Appends a client's text frame. Its mask is zero, so the text is copied as it is.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(FINAL | TEXT);
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(small), _) if small < 126 => out.push(MASKED | small),
        (_, Ok(medium)) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(text.as_bytes());
}

/// A client's empty pong.
pub(crate) const PONG_FRAME: [u8; 6] = [FINAL | PONG, MASKED, 0, 0, 0, 0];

/// Cuts what the server sends into messages.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// The begin of a frame whose end has not come.
    rest: Vec<u8>,
}

impl Incoming {
    /// Takes bytes, hands each whole message to `each`, and says how many pings were among them.
    pub(crate) fn take(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8]) -> Outcome<()>) -> Outcome<usize> {
        let mut pings = 0;
        if self.rest.is_empty() {
            // The usual case: what was read ends with a frame, and nothing is copied.
            let used = walk(bytes, &mut each, &mut pings)?;
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            self.rest.extend_from_slice(bytes);
            let used = walk(&self.rest, &mut each, &mut pings)?;
            self.rest.drain(..used);
        }
        Ok(pings)
    }
}

/// Hands on all whole frames and says how many bytes they were.
fn walk(bytes: &[u8], each: &mut impl FnMut(&[u8]) -> Outcome<()>, pings: &mut usize) -> Outcome<usize> {
    let mut used = 0;
    while let Some((first, header, length)) = header(&bytes[used..])? {
        let Some(payload) = bytes[used + header..].get(..length) else {
            break;
        };
        if first & FINAL == 0 {
            return Err(Problem::new("the server sent a fragment, which it never should"));
        }
        match first & !FINAL {
            TEXT => each(payload)?,
            PING => *pings += 1,
            PONG => {}
            CLOSE => return Err(closed(payload)),
            _ => return Err(Problem::new(format!("the server sent a frame that begins with {first:#04x}"))),
        }
        used += header + length;
    }
    Ok(used)
}

/// The first byte of a frame and the lengths of its header and payload; `None` until all of it is there.
fn header(bytes: &[u8]) -> Outcome<Option<(u8, usize, usize)>> {
    let (Some(first), Some(second)) = (bytes.first(), bytes.get(1)) else {
        return Ok(None);
    };
    if second & MASKED != 0 {
        return Err(Problem::new("the server sent a masked frame"));
    }
    let (header, length) = match second {
        127 => (10, bytes.get(2..10)),
        126 => (4, bytes.get(2..4)),
        small => return Ok(Some((*first, 2, usize::from(*small)))),
    };
    let Some(length) = length else {
        return Ok(None);
    };
    let length = length.iter().fold(0u64, |length, byte| (length << 8) | u64::from(*byte));
    let length = usize::try_from(length).map_err(|_| Problem::new("the server sent a frame beyond all memory"))?;
    Ok(Some((*first, header, length)))
}

fn closed(payload: &[u8]) -> Problem {
    let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
    Problem::new(format!("the server closed a connection with code {code}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_text(&mut bytes, std::str::from_utf8(payload).unwrap());
        // A server's frame is a client's without the mask.
        let mask = bytes.len() - payload.len() - 4;
        bytes.drain(mask..mask + 4);
        bytes[0] = first;
        bytes[1] &= !MASKED;
        bytes
    }

    fn read(incoming: &mut Incoming, bytes: &[u8]) -> Outcome<(Vec<usize>, usize)> {
        let mut found = Vec::new();
        let pings = incoming.take(bytes, |message| {
            assert!(message.iter().all(|byte| *byte == b'x'));
            found.push(message.len());
            Ok(())
        })?;
        Ok((found, pings))
    }

    #[test]
    fn client_frames_of_every_length_class() {
        for (length, header) in [
            (0, vec![0x81, 0x80]),
            (125, vec![0x81, 0x80 | 125]),
            (126, vec![0x81, 0x80 | 126, 0, 126]),
            (65_535, vec![0x81, 0x80 | 126, 0xff, 0xff]),
            (65_536, vec![0x81, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut bytes = Vec::new();
            put_text(&mut bytes, &"x".repeat(length));
            assert_eq!(bytes[..header.len()], header);
            assert_eq!(bytes[header.len()..header.len() + 4], [0; 4]);
            assert_eq!(bytes.len(), header.len() + 4 + length);
        }
    }

    #[test]
    fn messages_come_out_whole_wherever_the_bytes_are_cut() {
        let lengths = [0, 1, 125, 126, 300, 65_535, 65_536, 7];
        let bytes: Vec<u8> = lengths.iter().flat_map(|length| frame(0x81, &vec![b'x'; *length])).collect();
        for piece in [1, 2, 3, 7, 1000, bytes.len()] {
            let mut incoming = Incoming::default();
            let found: Vec<usize> =
                bytes.chunks(piece).flat_map(|chunk| read(&mut incoming, chunk).unwrap().0).collect();
            assert_eq!(found, lengths, "{piece}");
        }
    }

    #[test]
    fn pings_are_counted_between_messages() {
        let bytes = [frame(0x89, b""), frame(0x81, b"xx"), frame(0x89, b"p"), frame(0x8a, b"")].concat();
        assert_eq!(read(&mut Incoming::default(), &bytes), Ok((vec![2], 2)));
    }

    #[test]
    fn what_a_server_never_sends_is_a_problem() {
        for (bytes, words) in [
            (frame(0x01, b"x"), "fragment"),
            (frame(0x82, b"x"), "0x82"),
            (vec![0x81, 0x81, 0, 0, 0, 0, b'x'], "masked"),
            ([&[0x88, 5], &1001u16.to_be_bytes()[..], b"bye"].concat(), "code 1001: bye"),
        ] {
            let problem = read(&mut Incoming::default(), &bytes).unwrap_err().to_string();
            assert!(problem.contains(words), "{problem}");
        }
    }
}
