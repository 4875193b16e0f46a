//! A WebSocket frame from the server: written once, shared by every connection it goes to.

use bytes::{Bytes, BytesMut};
use serde::Serialize;

/// Room for the longest header of a server's frame: 2 bytes and a 64-bit length.
const HEADER_BYTES_MAX: usize = 10;
const FINAL_TEXT: u8 = 0x81;

/// One whole text frame, header and payload, ready for a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    header_bytes: usize,
}

impl Frame {
    /// Writes a message as JSON into a frame.
    ///
    /// # Panics
    /// Never: the messages of this crate always have a JSON form.
    #[must_use]
    pub fn json(message: &impl Serialize) -> Self {
        let mut buffer = Vec::with_capacity(256);
        buffer.extend_from_slice(&[0; HEADER_BYTES_MAX]);
        serde_json::to_writer(&mut buffer, message).expect("our messages serialize, and a Vec takes any bytes");
        let length = buffer.len() - HEADER_BYTES_MAX;
        let mut header = [0; HEADER_BYTES_MAX];
        header[0] = FINAL_TEXT;
        let header_bytes = match (u8::try_from(length), u16::try_from(length)) {
            (Ok(small), _) if small < 126 => {
                header[1] = small;
                2
            }
            (_, Ok(medium)) => {
                header[1] = 126;
                header[2..4].copy_from_slice(&medium.to_be_bytes());
                4
            }
            _ => {
                header[1] = 127;
                header[2..].copy_from_slice(&(length as u64).to_be_bytes());
                HEADER_BYTES_MAX
            }
        };
        // The header stands right before the payload; what is left of its room is cut off.
        let start = HEADER_BYTES_MAX - header_bytes;
        buffer[start..HEADER_BYTES_MAX].copy_from_slice(&header[..header_bytes]);
        let mut bytes = Bytes::from(buffer);
        let bytes = bytes.split_off(start);
        Self { bytes, header_bytes }
    }

    /// Joins frames into one that is written in one piece.
    #[must_use]
    pub fn concat(frames: &[Self]) -> Bytes {
        let mut bytes = BytesMut::with_capacity(frames.iter().map(Self::len).sum());
        for frame in frames {
            bytes.extend_from_slice(&frame.bytes);
        }
        bytes.freeze()
    }

    /// The messages in bytes that hold whole frames of this kind, without their headers.
    pub fn payloads(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
        std::iter::from_fn(move || {
            let (header, length) = match (*bytes.get(1)?, bytes.get(2..4), bytes.get(2..HEADER_BYTES_MAX)) {
                (126, Some(medium), _) => (4, usize::from(u16::from_be_bytes(medium.try_into().ok()?))),
                (127, _, Some(long)) => {
                    (HEADER_BYTES_MAX, usize::try_from(u64::from_be_bytes(long.try_into().ok()?)).ok()?)
                }
                (small, ..) => (2, usize::from(small)),
            };
            let end = header.checked_add(length).filter(|end| *end <= bytes.len())?;
            let frame = bytes.split_to(end);
            Some(frame.slice(header..))
        })
    }

    /// The bytes for the socket.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The message without its header.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(self.header_bytes..)
    }

    /// How many bytes the socket gets.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_length_class() {
        for (length, header) in [
            (2, vec![0x81, 2]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            // Two bytes of each payload are the quotes.
            let frame = Frame::json(&"x".repeat(length - 2));
            assert_eq!(&frame.bytes()[..header.len()], header, "{length}");
            assert_eq!(frame.payload().len(), length);
            assert_eq!(frame.len(), length + header.len());
            let twice = Frame::concat(&[frame.clone(), frame.clone()]);
            assert_eq!(Frame::payloads(twice).collect::<Vec<_>>(), [frame.payload(), frame.payload()], "{length}");
        }
    }
}
