//! Images: pull, build, load, save, hostile archives.

mod archives;
mod guests;
mod local;
mod pull;
mod registry;

use std::path::Path;
use std::sync::Arc;
use wkube::oci::{BUNDLED, Image, ImageStore, ImageWasm, Reference};

/// The smallest module that can be started.
const HELLO: &str = r#"(module (func (export "_start")))"#;

fn hello() -> Vec<u8> {
    wat::parse_str(HELLO).unwrap()
}

fn name(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn open(dir: &Path) -> Arc<ImageStore> {
    ImageStore::open(Some(dir), BUNDLED).unwrap()
}

/// The module's bytes, wherever they are.
fn wasm(image: &Image) -> Vec<u8> {
    match &image.wasm {
        ImageWasm::Path(path) => std::fs::read(path).unwrap(),
        ImageWasm::Static(bytes) => bytes.to_vec(),
    }
}

/// A tar archive of files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// How many files lie below a folder.
fn files(dir: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        count += if path.is_dir() { files(&path) } else { 1 };
    }
    count
}
