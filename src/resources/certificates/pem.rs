//! PEM blocks in a field that holds base64. Must not know what is in a block.
//! Kubernetes: Go's `encoding/pem` Decode.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A block.
pub(super) struct Block {
    /// What it says it is: `CERTIFICATE REQUEST`.
    pub(super) label: String,
    /// Whether lines like `Proc-Type: ...` stand before the content.
    pub(super) has_headers: bool,
    /// The content.
    pub(super) content: Vec<u8>,
}

/// The blocks of a field; what stands around them is passed over.
pub(super) fn blocks(field: &str) -> Vec<Block> {
    let bytes = STANDARD.decode(field).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let begin = line.strip_prefix("-----BEGIN ");
        let Some(label) = begin.and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let mut body = String::new();
        let mut has_headers = false;
        let mut ended = false;
        for line in lines.by_ref() {
            if line == end {
                ended = true;
                break;
            }
            if line.contains(':') {
                has_headers = true;
            } else {
                body.push_str(line);
            }
        }
        if let (true, Ok(content)) = (ended, STANDARD.decode(&body)) {
            found.push(Block {
                label: label.to_owned(),
                has_headers,
                content,
            });
        }
    }
    found
}
