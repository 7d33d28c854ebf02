//! Static files: from a request's target to an open file. Knows no sockets.

use std::fs::File;
use std::path::{Path, PathBuf};

/// What a target leads to.
pub enum Found {
    /// This file, of this many bytes and this media type.
    File { file: File, bytes: u64, media_type: &'static str },
    /// A folder that was asked for without its slash.
    Redirect(String),
    /// Nothing: the status to answer.
    Nothing(u16),
}

/// Looks `target` (an origin-form request target) up below `root`.
pub fn find(root: &Path, target: &str) -> Found {
    let raw = target.split(['?', '#']).next().unwrap_or_default();
    let Some(path) = decoded(raw) else { return Found::Nothing(400) };
    let mut full = PathBuf::from(root);
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        // A path that climbs is refused instead of resolved: no browser sends one.
        if part == ".." {
            return Found::Nothing(400);
        }
        full.push(part);
    }
    if full.is_dir() {
        if !path.ends_with('/') {
            return Found::Redirect(format!("{raw}/"));
        }
        full.push("index.html");
        if !full.exists() {
            return Found::Nothing(403);
        }
    } else if path.ends_with('/') {
        return Found::Nothing(404);
    }
    let Ok(file) = File::open(&full) else { return Found::Nothing(404) };
    match file.metadata() {
        Ok(data) if data.is_file() => {
            Found::File { file, bytes: data.len(), media_type: media_type(&full) }
        }
        _ => Found::Nothing(403),
    }
}

/// `%41` and the like resolved; `None` for what is malformed, not UTF-8 or holds a NUL.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut out = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok().filter(|path| path.starts_with('/') && !path.contains('\0'))
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "js" | "mjs" => "application/javascript",
        "json" => "application/json",
        "txt" => "text/plain",
        "xml" => "text/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_do_not_climb() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(matches!(find(root, "/src/main.rs?x=/"), Found::File { .. }));
        assert!(matches!(find(root, "/s%72c/./main.rs"), Found::File { .. }));
        assert!(matches!(find(root, "/src"), Found::Redirect(to) if to == "/src/"));
        assert!(matches!(find(root, "/src/"), Found::Nothing(403)));
        assert!(matches!(find(root, "/src/main.rs/"), Found::Nothing(404)));
        for wrong in ["/../Cargo.toml", "/src/%2e%2E/Cargo.toml", "/%00", "/%zz", "/%+1", "x", ""] {
            assert!(matches!(find(root, wrong), Found::Nothing(400)), "{wrong}");
        }
    }
}
