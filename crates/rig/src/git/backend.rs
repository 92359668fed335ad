//! Answers an HTTP request by running git's `http-backend`, a CGI program.

use std::io::{BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::repository::git;
use super::request::Request;

const UNAUTHORIZED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\n\
    WWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const BAD_GATEWAY: &[u8] =
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Answers one request and closes the connection. The request must have the header `authorization`, if that is given.
pub(super) fn serve(
    mut stream: TcpStream,
    program: &Path,
    base: &Path,
    authorization: Option<&str>,
) -> Result<()> {
    let request = Request::read(&mut BufReader::new(stream.try_clone()?), &mut stream)?;
    if authorization.is_some() && request.header("authorization") != authorization {
        return Ok(stream.write_all(UNAUTHORIZED)?);
    }
    let output = run(&request, program, base)?;
    match answer(&output) {
        Some((head, body)) => {
            stream.write_all(head.as_bytes())?;
            stream.write_all(body)?;
        }
        None => stream.write_all(BAD_GATEWAY)?,
    }
    Ok(())
}

/// Runs the backend on a request, and returns its headers and body.
fn run(request: &Request, program: &Path, base: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new(program);
    // The settings of git on a machine without configuration.
    for (name, value) in git(base).get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let mut child = command
        .env("GIT_PROJECT_ROOT", base)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env(
            "CONTENT_TYPE",
            request.header("content-type").unwrap_or_default(),
        )
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env(
            "HTTP_CONTENT_ENCODING",
            request.header("content-encoding").unwrap_or_default(),
        )
        .env(
            "GIT_PROTOCOL",
            request.header("git-protocol").unwrap_or_default(),
        )
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut input = child
        .stdin
        .take()
        .context("cannot write to the backend: it has no pipe")?;
    let body = request.body.clone();
    // It may answer before it has read everything, so the body is written in the background. If it stops reading, its
    // answer has the reason.
    let writing = std::thread::spawn(move || drop(input.write_all(&body)));
    let output = child.wait_with_output()?;
    drop(writing.join());
    Ok(output.stdout)
}

/// Converts the backend's answer to HTTP: the head, and the unchanged body. `None` if it has no headers.
fn answer(output: &[u8]) -> Option<(String, &[u8])> {
    let end = output.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (headers, body) = (output.get(..end)?, output.get(end + 4..)?);
    let headers = std::str::from_utf8(headers).ok()?;
    let (mut status, mut kept) = ("200 OK", String::new());
    for line in headers.split("\r\n") {
        match line.strip_prefix("Status: ") {
            Some(code) => status = code,
            None => kept += &format!("{line}\r\n"),
        }
    }
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\n{kept}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    Some((head, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_becomes_the_first_line() {
        let (head, body) = answer(b"Status: 404 Not Found\r\nExpires: 0\r\n\r\ngone").unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 404 Not Found\r\nExpires: 0\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(body, b"gone");
        assert!(answer(b"crashed").is_none());
    }
}
