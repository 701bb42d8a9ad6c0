//! An HTTP caller that costs as little as possible, because it shares the machine with what it measures: one connection that is kept
//! open, and requests that are encoded beforehand.

use std::net::SocketAddr;
use std::ops::Range;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The initial buffer, enough for most answers; it grows for larger ones.
const ROOM: usize = 64 * 1024;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

pub(super) struct Caller {
    stream: TcpStream,
    /// The bytes of the last answer that have been received.
    answer: Vec<u8>,
}

/// What the head of an answer says.
struct Head {
    status: u16,
    /// The position of the body in the answer.
    body: Range<usize>,
}

impl Caller {
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Caller> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Caller { stream, answer: Vec::with_capacity(ROOM) })
    }

    /// Sends a request that was encoded by [`written`], and returns the body of the answer.
    ///
    /// # Errors
    /// If the server hangs up, or answers with another status than 2xx.
    pub(super) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        self.answer.clear();
        self.stream.write_all(request).await?;
        let head = loop {
            let read = self.stream.read_buf(&mut self.answer).await?;
            anyhow::ensure!(read > 0, "the server hung up");
            if let Some(head) = Head::find(&self.answer)?
                && self.answer.len() >= head.body.end
            {
                break head;
            }
        };
        let (status, body) = (head.status, &self.answer[head.body]);
        anyhow::ensure!((200..300).contains(&status), "{status}: {}", String::from_utf8_lossy(body));
        Ok(body)
    }
}

impl Head {
    /// `None` if the head is not complete yet.
    fn find(answer: &[u8]) -> anyhow::Result<Option<Head>> {
        let Some(end) = answer.windows(END_OF_HEAD.len()).position(|four| four == END_OF_HEAD) else {
            return Ok(None);
        };
        let mut lines = str::from_utf8(&answer[..end])?.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse::<u16>().ok());
        let length = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, length)| length.trim().parse::<usize>().ok());
        let from = end + END_OF_HEAD.len();
        Ok(Some(Head {
            status: status.context("an answer begins with its status")?,
            body: from..from + length.context("an answer says how long it is")?,
        }))
    }
}

/// Encodes a request: GET if the body is empty, otherwise POST.
pub(super) fn written<'a>(
    path: &str,
    headers: impl IntoIterator<Item = (&'static str, &'a str)>,
    body: &[u8],
) -> Vec<u8> {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let length = body.len();
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n"
    );
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        let head = Head::find(answer).unwrap().unwrap();
        assert_eq!((head.status, &answer[head.body]), (201, &b"{}"[..]));
        assert!(Head::find(&answer[..20]).unwrap().is_none());
        assert!(Head::find(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn a_request_with_a_body_is_a_post() {
        let asked = written("/orders", [("idempotency-key", "k")], b"{}");
        let asked = String::from_utf8(asked).unwrap();
        assert!(asked.starts_with("POST /orders HTTP/1.1\r\n"), "{asked}");
        assert!(asked.ends_with("content-length: 2\r\nidempotency-key: k\r\n\r\n{}"), "{asked}");
        assert!(written("/orders", None, b"").starts_with(b"GET "));
    }
}
