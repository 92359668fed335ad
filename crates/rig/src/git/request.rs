//! Reads an HTTP/1.1 request, with the features that git's clients use.

use std::io::{BufRead, Read as _, Write};

use anyhow::{Context as _, Result, bail, ensure};

/// The longest line, in bytes. Git's are far shorter.
const MAX_LINE: u64 = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// The largest body, in bytes. It may be all that a client pushes.
const MAX_BODY: u64 = 256 * 1024 * 1024;

/// A complete request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Returns a header by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Reads a request. If the client expects `100 Continue` before it sends the body, writes that to `writer`.
    ///
    /// # Errors
    /// When it is not a request, or is too large.
    pub(crate) fn read(reader: &mut impl BufRead, writer: &mut impl Write) -> Result<Self> {
        let first = read_line(reader)?;
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            bail!("cannot read the request: {first:?} is not HTTP");
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = read_headers(reader)?;
        if find(&headers, "expect").is_some() {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = read_body(reader, &headers)?;
        let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
        Ok(Self {
            method,
            path,
            query,
            headers,
            body,
        })
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

fn read_line(reader: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    reader.take(MAX_LINE).read_line(&mut line)?;
    let line = line
        .strip_suffix('\n')
        .context("cannot read the request: a line has no end")?;
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn read_headers(reader: &mut impl BufRead) -> Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok(headers);
        }
        ensure!(
            headers.len() < MAX_HEADERS,
            "cannot read the request: too many headers"
        );
        let (name, value) = line
            .split_once(':')
            .context("cannot read the request: a header has no colon")?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_body(reader: &mut impl BufRead, headers: &[(String, String)]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    if find(headers, "transfer-encoding").is_some_and(|e| e.eq_ignore_ascii_case("chunked")) {
        while read_chunk(reader, &mut body)? {}
    } else if let Some(length) = find(headers, "content-length") {
        read_exactly(reader, length.parse()?, &mut body)?;
    }
    Ok(body)
}

/// Appends one chunk to `body`. Returns whether another one follows.
fn read_chunk(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Result<bool> {
    let line = read_line(reader)?;
    let size = line.split(';').next().unwrap_or_default().trim();
    let size =
        u64::from_str_radix(size, 16).context("cannot read the request: a chunk has no size")?;
    read_exactly(reader, size, body)?;
    let end = read_line(reader)?;
    ensure!(
        end.is_empty(),
        "cannot read the request: a chunk is longer than its size"
    );
    Ok(size != 0)
}

fn read_exactly(reader: &mut impl BufRead, size: u64, body: &mut Vec<u8>) -> Result<()> {
    ensure!(
        size.saturating_add(body.len() as u64) <= MAX_BODY,
        "cannot read the request: too large"
    );
    let read = reader.take(size).read_to_end(body)?;
    ensure!(
        read as u64 == size,
        "cannot read the request: the connection was closed"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Result<Request>, Vec<u8>) {
        let mut answer = Vec::new();
        (Request::read(&mut text.as_bytes(), &mut answer), answer)
    }

    #[test]
    fn a_body_with_a_length() {
        let (request, answer) =
            read("POST /a.git/x?service=y HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcdef");
        let request = request.unwrap();
        assert_eq!((&*request.path, &*request.query), ("/a.git/x", "service=y"));
        assert_eq!(request.body, b"abc");
        assert!(answer.is_empty());
    }

    #[test]
    fn a_body_in_chunks_after_100_continue() {
        let (request, answer) = read(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n\
             3\r\nabc\r\nA;x\r\n0123456789\r\n0\r\n\r\n",
        );
        assert_eq!(request.unwrap().body, b"abc0123456789");
        assert_eq!(answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    #[test]
    fn malformed_requests_are_errors() {
        for text in [
            "",
            "GET",
            "GET / HTTP/1.1",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nab",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert!(read(text).0.is_err(), "{text:?}");
        }
    }
}
