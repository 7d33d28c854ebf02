//! SPDY/3.1 frames, as far as streams to pods need them: streams, data, resets, pings. Headers are
//! compressed with zlib over the dictionary that the protocol prescribes. Everything a peer can say
//! has a limit here. Must not know what streams are for.
//! Kubernetes: apimachinery `util/httpstream/spdy`; the protocol's draft 3.1.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of one frame's payload.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// Bytes of a header block, unpacked.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Headers of one block.
const HEADERS_MAX: usize = 128;

const VERSION: u16 = 3;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const FLAG_FIN: u8 = 1;

/// Headers of a stream, names in lower case.
pub(crate) type Headers = Vec<(String, String)>;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The peer opens a stream; `fin`: it will send nothing on it.
    Open {
        id: u32,
        fin: bool,
        headers: Headers,
    },
    /// The peer takes a stream.
    Reply { id: u32, headers: Headers },
    /// Bytes of a stream.
    Data { id: u32, fin: bool, bytes: Bytes },
    /// A stream is over.
    Reset { id: u32 },
    /// Is to be sent back.
    Ping { id: u32 },
    /// The peer opens no more streams.
    GoAway,
    /// What is of no concern here (settings, windows).
    Other,
}

/// Reads frames.
pub(crate) struct Reader<R> {
    from: R,
    inflate: Decompress,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) fn new(from: R) -> Self {
        Self {
            from,
            inflate: Decompress::new(true),
        }
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Frame>> {
        let mut head = [0u8; 8];
        match self.from.read_exact(&mut head).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let [a, b, c, d, flags, x, y, z] = head;
        let length = u32::from_be_bytes([0, x, y, z]) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(wrong("a frame is too long"));
        }
        let mut payload = vec![0; length];
        self.from.read_exact(&mut payload).await?;
        if a & 0x80 == 0 {
            let id = u32::from_be_bytes([a, b, c, d]);
            return Ok(Some(Frame::Data {
                id,
                fin: flags & FLAG_FIN != 0,
                bytes: payload.into(),
            }));
        }
        if u16::from_be_bytes([a & 0x7f, b]) != VERSION {
            return Err(wrong("another version of SPDY"));
        }
        let kind = u16::from_be_bytes([c, d]);
        self.control(kind, flags, &payload).map(Some)
    }

    fn control(&mut self, kind: u16, flags: u8, payload: &[u8]) -> io::Result<Frame> {
        let id = || number(payload, 0).map(|id| id & 0x7fff_ffff);
        Ok(match kind {
            SYN_STREAM => Frame::Open {
                id: id()?,
                fin: flags & FLAG_FIN != 0,
                headers: self.headers(payload.get(10..).unwrap_or_default())?,
            },
            SYN_REPLY => Frame::Reply {
                id: id()?,
                headers: self.headers(payload.get(4..).unwrap_or_default())?,
            },
            RST_STREAM => Frame::Reset { id: id()? },
            PING => Frame::Ping {
                id: number(payload, 0)?,
            },
            GOAWAY => Frame::GoAway,
            _ => Frame::Other,
        })
    }

    fn headers(&mut self, packed: &[u8]) -> io::Result<Headers> {
        let block = self.unpack(packed)?;
        let count = number(&block, 0)? as usize;
        if count > HEADERS_MAX {
            return Err(wrong("too many headers"));
        }
        let mut at = 4;
        let mut text = || -> io::Result<String> {
            let length = number(&block, at)? as usize;
            let end = at
                .checked_add(4)
                .and_then(|start| start.checked_add(length));
            let bytes = end.and_then(|end| block.get(at + 4..end));
            let bytes = bytes.ok_or_else(|| wrong("a header is cut short"))?;
            at += 4 + length;
            String::from_utf8(bytes.to_vec()).map_err(|_| wrong("a header is not UTF-8"))
        };
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            let name = text()?.to_ascii_lowercase();
            headers.push((name, text()?));
        }
        Ok(headers)
    }

    /// Unpacks a block; the stream of blocks is one zlib stream over the connection's life.
    fn unpack(&mut self, mut packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = vec![0; HEADER_BYTES_MAX];
        let mut filled = 0;
        while !packed.is_empty() {
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let room = out.get_mut(filled..).unwrap_or_default();
            let full = room.is_empty();
            let result = self.inflate.decompress(packed, room, FlushDecompress::Sync);
            let taken = usize::try_from(self.inflate.total_in() - before_in).unwrap_or(0);
            let made = usize::try_from(self.inflate.total_out() - before_out).unwrap_or(0);
            packed = packed.get(taken..).unwrap_or_default();
            filled += made;
            match result {
                Ok(Status::Ok | Status::BufError) if taken == 0 && made == 0 => {
                    let why = if full {
                        "headers are too long"
                    } else {
                        "headers are cut short"
                    };
                    return Err(wrong(why));
                }
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.inflate
                        .set_dictionary(&dictionary())
                        .map_err(|error| wrong(&error.to_string()))?;
                }
                Err(error) => return Err(wrong(&error.to_string())),
            }
        }
        out.truncate(filled);
        Ok(out)
    }
}

/// Packs the headers of frames that are sent.
pub(crate) struct Packer {
    deflate: Compress,
}

impl Packer {
    pub(crate) fn new() -> io::Result<Self> {
        let mut deflate = Compress::new(Compression::fast(), true);
        deflate
            .set_dictionary(&dictionary())
            .map_err(|error| wrong(&error.to_string()))?;
        Ok(Self { deflate })
    }

    /// Opens a stream.
    #[cfg(test)]
    pub(crate) fn open(
        &mut self,
        id: u32,
        fin: bool,
        headers: &[(&str, &str)],
    ) -> io::Result<Bytes> {
        let mut payload = id.to_be_bytes().to_vec();
        payload.extend([0; 6]);
        payload.extend(self.pack(headers)?);
        Ok(control(
            SYN_STREAM,
            if fin { FLAG_FIN } else { 0 },
            &payload,
        ))
    }

    /// Takes a stream.
    pub(crate) fn reply(&mut self, id: u32, headers: &[(&str, &str)]) -> io::Result<Bytes> {
        let mut payload = id.to_be_bytes().to_vec();
        payload.extend(self.pack(headers)?);
        Ok(control(SYN_REPLY, 0, &payload))
    }

    fn pack(&mut self, headers: &[(&str, &str)]) -> io::Result<Vec<u8>> {
        let length = |text: &str| u32::try_from(text.len()).unwrap_or(0).to_be_bytes();
        let mut block = u32::try_from(headers.len())
            .unwrap_or(0)
            .to_be_bytes()
            .to_vec();
        for (name, value) in headers {
            for text in [name, value] {
                block.extend(length(text));
                block.extend(text.as_bytes());
            }
        }
        let mut out = Vec::with_capacity(block.len() + 256);
        self.deflate
            .compress_vec(&block, &mut out, FlushCompress::Sync)
            .map_err(|error| wrong(&error.to_string()))?;
        Ok(out)
    }
}

/// Bytes of a stream; `fin`: the last ones.
pub(crate) fn data(id: u32, fin: bool, bytes: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(8 + bytes.len());
    frame.extend((id & 0x7fff_ffff).to_be_bytes());
    head_rest(&mut frame, if fin { FLAG_FIN } else { 0 }, bytes.len());
    frame.extend_from_slice(bytes);
    frame.into()
}

/// Ends a stream at once. Status 5 is "cancel", 3 "refused".
pub(crate) fn reset(id: u32, status: u32) -> Bytes {
    let mut payload = id.to_be_bytes().to_vec();
    payload.extend(status.to_be_bytes());
    control(RST_STREAM, 0, &payload)
}

/// Answers a ping.
pub(crate) fn ping(id: u32) -> Bytes {
    control(PING, 0, &id.to_be_bytes())
}

fn control(kind: u16, flags: u8, payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(8 + payload.len());
    frame.extend((VERSION | 0x8000).to_be_bytes());
    frame.extend(kind.to_be_bytes());
    head_rest(&mut frame, flags, payload.len());
    frame.extend_from_slice(payload);
    frame.into()
}

fn head_rest(frame: &mut Vec<u8>, flags: u8, length: usize) {
    let [_, x, y, z] = u32::try_from(length).unwrap_or(0).to_be_bytes();
    frame.extend([flags, x, y, z]);
}

fn number(bytes: &[u8], at: usize) -> io::Result<u32> {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    four.map(|four| u32::from_be_bytes(*four))
        .ok_or_else(|| wrong("a frame is cut short"))
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("SPDY: {why}"))
}

/// The dictionary of the draft: words with their lengths before them, then plain text.
fn dictionary() -> Vec<u8> {
    const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding \
        accept-language accept-ranges age allow authorization cache-control connection \
        content-base content-encoding content-language content-length content-location \
        content-md5 content-range content-type date etag expect expires from host if-match \
        if-modified-since if-none-match if-range if-unmodified-since last-modified location \
        max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after \
        server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate \
        method get status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin";
    const TEXT: &str = "100101201202205206300302303304305306307402405406407408409410411412413414\
        415416417502504505203 Non-Authoritative Information204 No Content301 Moved Permanently\
        400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error\
        501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov \
        Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,\
        image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,public\
        privatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";
    let mut out = Vec::with_capacity(1_500);
    for word in WORDS.split(' ') {
        let word = word.replace('_', " ");
        out.extend(u32::try_from(word.len()).unwrap_or(0).to_be_bytes());
        out.extend(word.as_bytes());
    }
    out.extend(TEXT.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_one_of_the_draft() {
        // Its length and its Adler-32, by which zlib streams name it.
        let text = dictionary();
        let (mut a, mut b) = (1u32, 0u32);
        for byte in &text {
            a = (a + u32::from(*byte)) % 65_521;
            b = (b + a) % 65_521;
        }
        assert_eq!((text.len(), (b << 16) | a), (1423, 0xe3c6_a7c2));
    }

    #[tokio::test]
    async fn frames_read_back() {
        let mut packer = Packer::new().unwrap();
        let mut bytes = Vec::new();
        bytes.extend(
            packer
                .open(1, true, &[("streamtype", "error"), ("port", "80")])
                .unwrap(),
        );
        bytes.extend(packer.open(3, false, &[("streamtype", "data")]).unwrap());
        bytes.extend(data(3, true, b"hello"));
        bytes.extend(ping(7));
        bytes.extend(reset(3, 5));
        let mut reader = Reader::new(bytes.as_slice());
        let headers: Headers = vec![
            ("streamtype".to_owned(), "error".to_owned()),
            ("port".to_owned(), "80".to_owned()),
        ];
        let mut next = async || reader.next().await.unwrap();
        assert_eq!(
            next().await,
            Some(Frame::Open {
                id: 1,
                fin: true,
                headers
            })
        );
        assert!(matches!(
            next().await,
            Some(Frame::Open {
                id: 3,
                fin: false,
                ..
            })
        ));
        let bytes = Bytes::from_static(b"hello");
        assert_eq!(
            next().await,
            Some(Frame::Data {
                id: 3,
                fin: true,
                bytes
            })
        );
        assert_eq!(next().await, Some(Frame::Ping { id: 7 }));
        assert_eq!(next().await, Some(Frame::Reset { id: 3 }));
        assert_eq!(next().await, None);
    }

    proptest::proptest! {
        #[test]
        fn rubbish_is_refused_and_nothing_panics(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
            control: bool,
        ) {
            let mut bytes = bytes;
            if control && bytes.len() > 8 {
                bytes[..8].copy_from_slice(&[0x80, 3, 0, 1, 0, 0, 0, 40]);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut reader = Reader::new(bytes.as_slice());
                while let Ok(Some(_)) = reader.next().await {}
            });
        }
    }
}
