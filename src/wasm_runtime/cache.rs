//! Compiled code on disk: one file of code and one note beside it, named by the wasm's digest and
//! the engine's compatibility hash. What does not agree with its note is thrown away and built
//! anew; nothing that was not checked is ever mapped. Must not know how code is made.

use super::RuntimeError;
use super::detect::Detected;
use super::module::Code;
use crate::stdx::{Digest, create_private_dir, write_atomic};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Bytes of code that are kept; of more the oldest goes.
const CODE_BYTES_MAX: u64 = 4 << 30;

/// A folder of compiled code.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    engine: String,
}

/// What stands beside a file of code.
#[derive(Serialize, Deserialize)]
struct Note {
    wasm: String,
    engine: String,
    code: String,
    bytes: u64,
    detected: Detected,
}

impl Cache {
    /// Opens the folder, closed to others; `engine` is the compatibility hash.
    pub(super) fn open(folder: &Path, engine: String) -> Result<Self, RuntimeError> {
        create_private_dir(folder).map_err(|e| RuntimeError::io(folder, &e))?;
        Ok(Self {
            folder: folder.to_owned(),
            engine,
        })
    }

    fn paths(&self, wasm: &Digest) -> (PathBuf, PathBuf) {
        let name = format!("{}-{}", wasm.hex(), self.engine);
        let file = |kind: &str| self.folder.join(format!("{name}.{kind}"));
        (file("code"), file("note"))
    }

    /// The code of `wasm`, if it is there and whole.
    pub(super) fn find(&self, wasm: &Digest) -> Option<(Detected, Code)> {
        let (code, note_path) = self.paths(wasm);
        let note = std::fs::read(&note_path).ok()?;
        let checked = serde_json::from_slice::<Note>(&note)
            .map_err(|error| error.to_string())
            .and_then(|note| self.check(wasm, &code, note));
        match checked {
            Ok(detected) => Some((detected, Code::File(code))),
            Err(reason) => {
                tracing::warn!(path = %code.display(), reason, "cached code is damaged, rebuilding");
                // In this order: a note without code is found out, code without a note is unused.
                let _ = std::fs::remove_file(&note_path);
                let _ = std::fs::remove_file(&code);
                None
            }
        }
    }

    fn check(&self, wasm: &Digest, code: &Path, note: Note) -> Result<Detected, String> {
        if note.wasm != wasm.to_string() || note.engine != self.engine {
            return Err("the note is of another module".into());
        }
        let file = File::open(code).map_err(|error| error.to_string())?;
        let meta = file.metadata().map_err(|error| error.to_string())?;
        if meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
            return Err("others may write the file".into());
        }
        let (digest, bytes) = digest_of(file).map_err(|error| error.to_string())?;
        if bytes != note.bytes || digest.to_string() != note.code {
            return Err("the checksum differs".into());
        }
        Ok(note.detected)
    }

    /// Keeps `code`; the note last, so that it never stands beside half a file.
    pub(super) fn keep(
        &self,
        wasm: &Digest,
        detected: &Detected,
        code: &[u8],
    ) -> Result<Code, RuntimeError> {
        let (code_path, note_path) = self.paths(wasm);
        let note = Note {
            wasm: wasm.to_string(),
            engine: self.engine.clone(),
            code: Digest::of(code).to_string(),
            bytes: code.len() as u64,
            detected: detected.clone(),
        };
        let note = serde_json::to_vec(&note).map_err(|e| RuntimeError::Setup(e.to_string()))?;
        write_atomic(&code_path, code, 0o600).map_err(|e| RuntimeError::io(&code_path, &e))?;
        write_atomic(&note_path, &note, 0o600).map_err(|e| RuntimeError::io(&note_path, &e))?;
        self.shrink(&code_path, CODE_BYTES_MAX);
        Ok(Code::File(code_path))
    }

    /// Removes the oldest code beyond `max` bytes, but never `newest`. What is mapped stays mapped.
    fn shrink(&self, newest: &Path, max: u64) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        let code = entries.flatten().filter_map(|entry| {
            let path = entry.path();
            let meta = entry.metadata().ok()?;
            let is_code = path.extension().is_some_and(|kind| kind == "code");
            is_code.then_some((meta.modified().ok()?, meta.len(), path))
        });
        let mut code: Vec<_> = code.collect();
        code.sort();
        let mut total: u64 = code.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in code {
            if total <= max {
                break;
            }
            if path == newest {
                continue;
            }
            // The note first: code without a note is unused, and gone with the next line.
            let _ = std::fs::remove_file(path.with_extension("note"));
            let _ = std::fs::remove_file(&path);
            total -= bytes;
        }
    }
}

fn digest_of(mut file: File) -> std::io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0;
    loop {
        let read = file.read(&mut buffer)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
            return Ok((Digest::from_hasher(hasher), total));
        };
        hasher.update(part);
        total += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm_runtime::detect::detect;

    #[test]
    fn the_oldest_code_goes_when_there_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), "engine".into()).unwrap();
        let wasm = wat::parse_str(r#"(module (func (export "_start")))"#).unwrap();
        let detected = detect(&wasm).unwrap();
        let digests: Vec<Digest> = (0..3u8).map(|n| Digest::of(&[n])).collect();
        for digest in &digests {
            cache.keep(digest, &detected, &[0; 1000]).unwrap();
        }
        let (newest, _) = cache.paths(&digests[2]);
        cache.shrink(&newest, 1500);
        assert!(cache.find(&digests[2]).is_some());
        assert!(cache.find(&digests[0]).is_none());
        assert!(cache.find(&digests[1]).is_none());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
