//! As much of HTTP/1.1 as a proxy needs: heads, how long a body is, what may be passed on.
//! Knows no sockets. What is ambiguous about where a message ends is refused (RFC 9112 section
//! 6.3): proxy and backend must never disagree about it.

/// A request's or an answer's line and headers.
#[derive(Debug)]
pub struct Head {
    /// The first line.
    pub line: String,
    /// Names as sent, values trimmed.
    pub headers: Vec<(String, String)>,
}

/// How long a body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// This many bytes are still to come.
    Length(u64),
    /// Chunks, read so far up to this state.
    Chunked(Chunks),
}

/// Follows a chunked body to find its end. The bytes themselves are passed on as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// In a chunk's size line: the size so far, its digits, whether an extension has begun.
    Size { size: u64, digits: u8, extension: bool },
    /// In a chunk, with this many bytes to come, its line end included.
    Data(u64),
    /// In the trailer; whether the present line is still empty.
    Trailer { empty: bool },
    /// Behind the last line.
    End,
}

/// The length of the head with its empty line, once that has come.
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

impl Head {
    /// Reads a whole head; `None` when it is malformed. Bytes beyond ASCII are taken as Latin-1,
    /// as the values of old clients are.
    pub fn parse(head: &[u8]) -> Option<Self> {
        let text: String = head.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let line = lines.next()?.to_owned();
        let mut headers = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            let value = value.trim_matches([' ', '\t']);
            if !is_token(name) || value.chars().any(|c| c.is_ascii_control() && c != '\t') {
                return None;
            }
            headers.push((name.to_owned(), value.to_owned()));
        }
        (!line.chars().any(|c| c.is_ascii_control())).then_some(Self { line, headers })
    }

    /// The first value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// All values of a header.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let same = move |have: &str| have.eq_ignore_ascii_case(name);
        self.headers.iter().filter(move |(have, _)| same(have)).map(|(_, value)| value.as_str())
    }

    /// Takes out a header, and says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.headers.len();
        self.headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        self.headers.len() != before
    }

    /// Takes out what is meant for one connection only (RFC 9110 section 7.6.1).
    pub fn remove_hop_by_hop(&mut self) {
        let listed: Vec<String> = self
            .all("connection")
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_owned())
            // The framing of the body is not a client's to take away.
            .filter(|name| !name.eq_ignore_ascii_case("transfer-encoding"))
            .filter(|name| !name.eq_ignore_ascii_case("content-length"))
            .filter(|name| !name.eq_ignore_ascii_case("host"))
            .collect();
        for name in listed.iter().map(String::as_str) {
            self.remove(name);
        }
        for name in ["connection", "keep-alive", "proxy-connection", "te", "upgrade", "expect"] {
            self.remove(name);
        }
    }

    /// The body's length; `None` when it is said in a way that leaves doubt.
    pub fn body(&self) -> Option<Body> {
        let codings: Vec<&str> = self.all("transfer-encoding").collect();
        let lengths: Vec<&str> = self.all("content-length").collect();
        match (codings.as_slice(), lengths.as_slice()) {
            ([], []) => Some(Body::Length(0)),
            ([], [length]) if length.bytes().all(|b| b.is_ascii_digit()) => {
                length.parse().ok().map(Body::Length)
            }
            ([coding], []) if coding.eq_ignore_ascii_case("chunked") => {
                Some(Body::Chunked(Chunks::START))
            }
            _ => None,
        }
    }

    /// The head as it goes over the wire.
    pub fn write(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.line);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        // Back from Latin-1, one byte a character.
        text.chars().map(|c| c as u8).collect()
    }
}

/// The three words of a request line.
pub fn request_line(line: &str) -> Option<(&str, &str, &str)> {
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let known = matches!(version, "HTTP/1.0" | "HTTP/1.1");
    let whole = words.next().is_none() && is_token(method) && !target.is_empty();
    (known && whole).then_some((method, target, version))
}

/// The status of an answer's first line.
pub fn status(line: &str) -> Option<u16> {
    let code = line.strip_prefix("HTTP/1.")?.get(2..5)?;
    code.parse().ok().filter(|code| (100..600).contains(code))
}

/// Whether `text` is a token of RFC 9110 section 5.6.2: a method, a header's name.
fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

impl Body {
    /// Whether all of it has been seen.
    pub fn is_over(&self) -> bool {
        matches!(self, Body::Length(0) | Body::Chunked(Chunks::End))
    }

    /// How many of `bytes` belong to the body, and remembers that they have come; `None` when a
    /// chunk is malformed.
    pub fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        match self {
            Body::Length(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                Some(taken)
            }
            Body::Chunked(chunks) => chunks.take(bytes),
        }
    }
}

impl Chunks {
    /// Before the first chunk.
    pub const START: Self = Self::Size { size: 0, digits: 0, extension: false };

    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let (Some(byte), false) = (bytes.get(at), *self == Self::End) {
            at += match self {
                Self::Data(left) => {
                    let taken = (bytes.len() - at).min(usize::try_from(*left).ok()?);
                    *left -= taken as u64;
                    if *left == 0 {
                        // The chunk's own line end must be where the size said.
                        if bytes[at + taken - 1] != b'\n' {
                            return None;
                        }
                        *self = Self::START;
                    }
                    taken
                }
                _ => {
                    *self = self.after(*byte)?;
                    1
                }
            };
        }
        Some(at)
    }

    /// The state after one byte outside of a chunk's data.
    fn after(&self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Size { digits: 0, .. }, b'\n' | b'\r' | b';') => None,
            (Self::Size { size: 0, .. }, b'\n') => Some(Self::Trailer { empty: true }),
            // The data is followed by CR LF.
            (Self::Size { size, .. }, b'\n') => Some(Self::Data(size + 2)),
            (Self::Size { size, digits, .. }, b'\r' | b';' | b' ' | b'\t') => {
                Some(Self::Size { size: *size, digits: *digits, extension: true })
            }
            (Self::Size { extension: true, .. }, _) => Some(self.clone()),
            (Self::Size { size, digits, .. }, digit) => {
                let value = char::from(digit).to_digit(16)?;
                // Fifteen digits cannot overflow, and no chunk is larger.
                (*digits < 15).then_some(Self::Size {
                    size: size * 16 + u64::from(value),
                    digits: digits + 1,
                    extension: false,
                })
            }
            (Self::Trailer { empty: true }, b'\n') => Some(Self::End),
            (Self::Trailer { .. }, b'\n') => Some(Self::Trailer { empty: true }),
            (Self::Trailer { empty }, b'\r') => Some(Self::Trailer { empty: *empty }),
            (Self::Trailer { .. }, _) => Some(Self::Trailer { empty: false }),
            (Self::Data(_) | Self::End, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Option<Head> {
        Head::parse(text.as_bytes())
    }

    #[test]
    fn a_body_of_doubtful_length_is_refused() {
        let body = |headers: &str| head(&format!("X\r\n{headers}\r\n")).unwrap().body();
        assert_eq!(body(""), Some(Body::Length(0)));
        assert_eq!(body("Content-Length: 5\r\n"), Some(Body::Length(5)));
        assert!(matches!(body("Transfer-Encoding: Chunked\r\n"), Some(Body::Chunked(_))));
        for wrong in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
        ] {
            assert_eq!(body(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_end_of_chunks_is_found_however_they_are_cut() {
        let whole = b"5\r\nhello\r\nA;x=1\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\nGET";
        for size in 1..=whole.len() {
            let mut body = Body::Chunked(Chunks::START);
            let mut taken = 0;
            for piece in whole.chunks(size) {
                taken += body.take(piece).unwrap();
            }
            assert!(body.is_over());
            assert_eq!(taken, whole.len() - 3);
        }
        for wrong in [&b"\r\n"[..], b"x\r\n", b"1\r\nab\r\n", b"1000000000000000\r\n"] {
            assert_eq!(Body::Chunked(Chunks::START).take(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn hop_by_hop_headers_stay() {
        let mut head = head("X\r\nConnection: close, X-A\r\nX-A: 1\r\nTE: x\r\nX-B: 2\r\n\r\n").unwrap();
        head.remove_hop_by_hop();
        assert_eq!(head.write(), b"X\r\nX-B: 2\r\n\r\n");
    }

    #[test]
    fn heads_are_read_strictly() {
        assert!(head("GET / HTTP/1.1\r\nHost : a\r\n\r\n").is_none());
        assert!(head("GET / HTTP/1.1\r\n folded: a\r\n\r\n").is_none());
        assert!(head("GET /\0 HTTP/1.1\r\n\r\n").is_none());
        assert_eq!(request_line("GET / HTTP/1.1"), Some(("GET", "/", "HTTP/1.1")));
        assert_eq!(request_line("GET  / HTTP/1.1"), None);
        assert_eq!(status("HTTP/1.1 204 No Content"), Some(204));
        assert_eq!(status("HTTP/1.1 20"), None);
    }
}
