//! As much of HTTP/1.1 as two programs on one machine need: messages of known length over connections that stay open.
//!
//! A web framework would be a dozen threads and queues in the middle of what is measured. Here a message is one write
//! and mostly one read.

use std::io::{self, ErrorKind, Read, Write};

/// More than any message of a function has; what is longer is a mistake.
const LONGEST: usize = 16 * 1024 * 1024;

/// A connection, with what was read of it and belongs to the next message.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
}

/// A request or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The first line, as in `POST / HTTP/1.1`.
    pub start: String,
    /// The headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Of a request: the path.
    pub fn path(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// Of an answer: the status.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }
}

impl<S: Read + Write> Connection<S> {
    /// A connection on which nothing was said yet.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(16 * 1024) }
    }

    /// The connection below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Waits for the next message; `None` if the other side is done.
    pub fn read(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some((message, length)) = parse(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(Some(message));
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) if self.buffer.is_empty() => return Ok(None),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a message with one write. The head ends without the line that says the body's length.
    pub fn write(&mut self, head: &str, body: &[u8]) -> io::Result<()> {
        let mut message = Vec::with_capacity(head.len() + body.len() + 40);
        write!(message, "{head}content-length: {}\r\n\r\n", body.len())?;
        message.extend_from_slice(body);
        self.stream.write_all(&message)?;
        self.stream.flush()
    }
}

/// The first message in `bytes` and its length, if it is all there.
fn parse(bytes: &[u8]) -> io::Result<Option<(Message, usize)>> {
    let Some(head_length) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > LONGEST { Err(invalid("a head without an end")) } else { Ok(None) };
    };
    let head = str::from_utf8(&bytes[..head_length]).map_err(|_| invalid("a head that is no text"))?;
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("a header without a colon"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut message = Message { start, headers, body: Vec::new() };
    if message.header("transfer-encoding").is_some() {
        return Err(invalid("a message in chunks, which nobody here sends"));
    }
    let length = match message.header("content-length") {
        Some(length) => length.parse().map_err(|_| invalid("a length that is no number"))?,
        None => 0_usize,
    };
    if length > LONGEST {
        return Err(invalid("a message that is too long"));
    }
    let end = head_length + 4 + length;
    let Some(body) = bytes.get(head_length + 4..end) else { return Ok(None) };
    body.clone_into(&mut message.body);
    Ok(Some((message, end)))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Gives what it holds in small pieces, and takes what is written.
    struct Pieces(Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(7);
            self.0.read(&mut buffer[..length])
        }
    }

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn connection(text: &str) -> Connection<Pieces> {
        Connection::new(Pieces(Cursor::new(text.as_bytes().to_vec()), Vec::new()))
    }

    #[test]
    fn messages_come_out_one_by_one_however_they_arrive() {
        let mut connection = connection(
            "POST /a HTTP/1.1\r\nContent-Length: 5\r\nX-Amz-Target:  T \r\n\r\nhelloGET /b HTTP/1.1\r\n\r\n",
        );
        let first = connection.read().unwrap().unwrap();
        assert_eq!((first.path(), first.body.as_slice()), ("/a", b"hello".as_slice()));
        assert_eq!((first.header("x-amz-target"), first.header("x-none")), (Some("T"), None));
        assert_eq!(connection.read().unwrap().unwrap().path(), "/b");
        assert_eq!(connection.read().unwrap(), None);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut sender = connection("");
        sender.write("HTTP/1.1 202 Accepted\r\n", b"yes").unwrap();
        let mut receiver = connection(str::from_utf8(&sender.stream().1).unwrap());
        let message = receiver.read().unwrap().unwrap();
        assert_eq!((message.status(), message.body.as_slice()), (202, b"yes".as_slice()));
    }

    #[test]
    fn what_ends_early_or_makes_no_sense_is_an_error() {
        for text in [
            "POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nhalf",
            "POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nno colon\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
        ] {
            connection(text).read().unwrap_err();
        }
    }
}
