//! As much of HTTP/1.1 as a greeting needs: where a request's head ends, whether it is well
//! formed, and how an answer is written. Knows no sockets.

/// The request line of a well-formed request.
pub struct Request<'a> {
    /// The method as it was sent.
    pub method: &'a str,
}

/// The length of the head with its empty line, once that has come. Lines may end in a bare
/// line feed, as RFC 9112 section 2.2 allows a server to accept.
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    let mut line_is_empty = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if line_is_empty => return Some(at + 1),
            b'\n' => line_is_empty = true,
            b'\r' => {}
            _ => line_is_empty = false,
        }
    }
    None
}

impl<'a> Request<'a> {
    /// Reads a whole head; the error is the status line's end.
    pub fn parse(head: &'a [u8]) -> Result<Self, &'static str> {
        const WRONG: &str = "400 Bad Request";
        let head = std::str::from_utf8(head).map_err(|_| WRONG)?;
        let mut lines = head.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(WRONG);
        };
        let target_ok = !target.is_empty() && !target.bytes().any(|b| b.is_ascii_control());
        if !is_token(method) || !target_ok {
            return Err(WRONG);
        }
        let mut hosts = 0;
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(WRONG)?;
            if !is_token(name) || value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
                return Err(WRONG);
            }
            hosts += usize::from(name.eq_ignore_ascii_case("host"));
        }
        match version {
            "HTTP/1.1" if hosts != 1 => Err(WRONG),
            "HTTP/1.0" | "HTTP/1.1" => Ok(Self { method }),
            _ if version.starts_with("HTTP/") => Err("505 HTTP Version Not Supported"),
            _ => Err(WRONG),
        }
    }
}

/// Whether `text` is a token of RFC 9110 section 5.6.2: a method, a header's name.
fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

/// A whole answer with a text body; the body itself only if it is wanted (not for HEAD).
pub fn response(status: &str, body: &str, with_body: bool) -> Vec<u8> {
    let sent = if with_body { body } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{sent}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_of_the_head() {
        assert_eq!(head_length(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody"), Some(27));
        assert_eq!(head_length(b"GET / HTTP/1.1\n\nbody"), Some(16));
        assert_eq!(head_length(b"GET / HTTP/1.1\r\nHost: a\r\n"), None);
    }

    #[test]
    fn refuses_what_is_malformed() {
        for wrong in [
            "GET /\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
        ] {
            assert!(Request::parse(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
        assert!(Request::parse(b"GET / HTTP/1.0\r\n\r\n").is_ok());
        assert!(Request::parse(b"GET / HTTP/1.1\r\nhost:\r\nX: \xff\r\n\r\n").is_err());
    }
}
