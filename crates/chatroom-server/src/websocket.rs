//! WebSocket bytes: tungstenite as a parser that never touches a socket, and the frames we write.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Message, Utf8Bytes};

const OPCODE_CLOSE: u8 = 0x88;
const OPCODE_PING: u8 = 0x89;
/// A control frame's payload has at most 125 bytes, two of which are the code.
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// Reads a client's frames from bytes; what it wants answered (pongs, close) it leaves in a buffer.
#[derive(Debug)]
pub(crate) struct Parser {
    context: WebSocketContext,
    pipe: Pipe,
}

#[derive(Debug)]
pub(crate) enum Parsed {
    Text(Utf8Bytes),
    /// The client closed; the answer waits in [`Parser::answers`].
    Closed,
}

/// Why a connection has to be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Parser {
    pub(crate) fn new(message_bytes_max: usize) -> Self {
        let config = WebSocketConfig::default()
            // An idle connection keeps this buffer, so it is small; large messages grow it.
            .read_buffer_size(512)
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        Self { context: WebSocketContext::new(Role::Server, Some(config)), pipe: Pipe::default() }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.pipe.incoming.extend_from_slice(bytes);
    }

    /// The next message, or `None` until more bytes are fed.
    pub(crate) fn next(&mut self) -> Result<Option<Parsed>, Close> {
        loop {
            match self.context.read(&mut self.pipe) {
                Ok(Message::Text(text)) => return Ok(Some(Parsed::Text(text))),
                Ok(Message::Binary(_)) => {
                    return Err(close(1003, "messages are text; binary ones are not understood"));
                }
                Ok(Message::Close(_)) => {
                    self.flush();
                    return Ok(Some(Parsed::Closed));
                }
                Ok(_) => self.flush(),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.flush();
                    if self.pipe.incoming.is_empty() {
                        self.pipe.incoming = BytesMut::new();
                    }
                    return Ok(None);
                }
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    return Ok(Some(Parsed::Closed));
                }
                Err(error) => return Err(failure(&error)),
            }
        }
    }

    /// Drops what was fed and not read.
    pub(crate) fn discard(&mut self) {
        self.pipe.incoming = BytesMut::new();
    }

    /// Takes what has to be sent in answer to control frames.
    pub(crate) fn answers(&mut self) -> BytesMut {
        self.pipe.outgoing.split()
    }

    fn flush(&mut self) {
        // The pipe takes every byte, and a closed context has nothing left to write.
        let _ = self.context.flush(&mut self.pipe);
    }
}

/// Maps what was wrong to the close code of RFC 6455, section 7.4.1.
fn failure(error: &Error) -> Close {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            close(1009, format!("a message of {size} bytes; at most {max_size} are read"))
        }
        Error::Capacity(_) => close(1009, "a message is too big"),
        Error::Utf8(_) => close(1007, "a text message is not UTF-8"),
        Error::Protocol(ProtocolError::InvalidCloseSequence) => close(1002, "an invalid close frame"),
        other => close(1002, format!("not a WebSocket frame: {other}")),
    }
}

fn close(code: u16, reason: impl Into<String>) -> Close {
    Close { code, reason: reason.into() }
}

/// A ping frame.
pub(crate) fn ping() -> Bytes {
    Bytes::from_static(&[OPCODE_PING, 0])
}

impl Close {
    /// The close frame; a long reason is cut.
    pub(crate) fn frame(&self) -> Bytes {
        let mut end = self.reason.len().min(CLOSE_REASON_BYTES_MAX);
        while !self.reason.is_char_boundary(end) {
            end -= 1;
        }
        let mut frame = BytesMut::with_capacity(4 + end);
        frame.put_u8(OPCODE_CLOSE);
        frame.put_u8(u8::try_from(2 + end).unwrap_or(u8::MAX));
        frame.put_u16(self.code);
        frame.put_slice(&self.reason.as_bytes()[..end]);
        frame.freeze()
    }
}

/// What tungstenite takes for its stream.
#[derive(Debug, Default)]
struct Pipe {
    incoming: BytesMut,
    outgoing: BytesMut,
}

impl io::Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = buffer.len().min(self.incoming.len());
        self.incoming.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let frame = Close { code: 1002, reason: "é".repeat(100) }.frame();
        assert_eq!(frame.len(), 4 + 122);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
    }

    #[test]
    fn half_a_frame_waits_for_its_rest() {
        let mut parser = Parser::new(1024);
        let frame = [0x81, 0x82, 0, 0, 0, 0, b'{', b'}'];
        for byte in &frame[..7] {
            parser.feed(&[*byte]);
            assert!(matches!(parser.next(), Ok(None)));
        }
        parser.feed(&frame[7..]);
        assert!(matches!(parser.next(), Ok(Some(Parsed::Text(text))) if text.as_str() == "{}"));
    }
}
