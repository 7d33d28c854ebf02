//! Layers as honest and as hostile tools make them.

use super::*;
use std::io::Write;

/// Entries of a tar archive: path, kind, link target, content.
fn layer(entries: &[(&str, tar::EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, target, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o4755);
        header.set_size(content.len() as u64);
        // By hand: the library refuses to write the paths that have to be tested.
        let name = path.as_bytes();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        let target = target.as_bytes();
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

const FILE: tar::EntryType = tar::EntryType::Regular;
const DIR: tar::EntryType = tar::EntryType::Directory;
const SYMLINK: tar::EntryType = tar::EntryType::Symlink;
const LINK: tar::EntryType = tar::EntryType::Link;

/// Unpacks layers; answers the files with their content, links as `-> target`.
fn run(layers: &[Vec<u8>]) -> Result<Vec<String>, ImageError> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(folder.path().join("outside"), "secret").unwrap();
    let layers: Vec<Layer> = layers
        .iter()
        .enumerate()
        .map(|(number, bytes)| {
            let path = folder.path().join(format!("layer{number}"));
            std::fs::write(&path, bytes).unwrap();
            let packing = match bytes.get(..2) {
                Some([0x1f, 0x8b]) => Packing::Gzip,
                Some([0x28, 0xb5]) => Packing::Zstd,
                _ => Packing::Plain,
            };
            Layer {
                path,
                packing,
                diff_id: None,
            }
        })
        .collect();
    let done = unpack(&layers, &root);
    assert_eq!(
        std::fs::read(folder.path().join("outside")).unwrap(),
        b"secret"
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        2 + layers.len()
    );
    done?;
    let mut found = Vec::new();
    list(&root, &root, &mut found);
    found.sort();
    Ok(found)
}

fn list(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if path.is_symlink() {
            found.push(format!(
                "{name} -> {}",
                std::fs::read_link(&path).unwrap().display()
            ));
        } else if path.is_dir() {
            list(root, &path, found);
        } else {
            found.push(format!(
                "{name}={}",
                std::fs::read_to_string(&path).unwrap()
            ));
        }
    }
}

#[test]
fn layers_lie_on_each_other() {
    let lower = layer(&[
        ("./a/", DIR, "", b""),
        ("a/one", FILE, "", b"1"),
        ("a/two", FILE, "", b"2"),
        ("/b/c/three", FILE, "", b"3"),
        ("file", FILE, "", b"f"),
        ("link", SYMLINK, "a/one", b""),
    ]);
    let upper = layer(&[
        ("a/.wh.one", FILE, "", b""),
        ("b/new", FILE, "", b"n"),
        ("b/.wh..wh..opq", FILE, "", b""),
        ("file/now-a-folder", FILE, "", b"x"),
        ("link", FILE, "", b"no link any more"),
        ("hard", LINK, "/a/two", b""),
        ("abs", SYMLINK, "/a/two", b""),
        ("a/up", SYMLINK, "../b/./new", b""),
        (".wh.nothing", FILE, "", b""),
    ]);
    let found = run(&[lower, upper]).unwrap();
    assert_eq!(
        found,
        [
            "a/two=2",
            "a/up -> ../b/new",
            "abs -> a/two",
            "b/new=n",
            "file/now-a-folder=x",
            "hard=2",
            "link=no link any more",
        ]
    );
}

#[test]
fn nothing_leads_outside() {
    for hostile in [
        layer(&[("../outside", FILE, "", b"x")]),
        layer(&[("a/../../outside", FILE, "", b"x")]),
        layer(&[("up", SYMLINK, "..", b""), ("up/outside", FILE, "", b"x")]),
        layer(&[("up", SYMLINK, "../outside", b""), ("up", FILE, "", b"x")]),
        layer(&[("up", SYMLINK, "/../outside", b"")]),
        layer(&[("hard", LINK, "../outside", b"")]),
        layer(&[("a/b", SYMLINK, "../../outside", b"")]),
        layer(&[("../.wh.outside", FILE, "", b"")]),
        layer(&[(".wh...", FILE, "", b"")]),
        layer(&[("a/.wh..", FILE, "", b"")]),
        layer(&[("x", tar::EntryType::new(b'?'), "", b"")]),
    ] {
        assert!(matches!(run(&[hostile]), Err(ImageError::Malformed { .. })));
    }
}

#[test]
fn links_on_the_way_stay_inside() {
    // Lexically fine, but through a link each step could climb: the handle decides.
    let climb = layer(&[
        ("a/b/c/", DIR, "", b""),
        ("short", SYMLINK, "a/b/c", b""),
        ("short/up", SYMLINK, "../../..", b""),
    ]);
    assert!(run(&[climb]).is_err());
    let written = layer(&[
        ("real/", DIR, "", b""),
        ("way", SYMLINK, "/real", b""),
        ("way/f", FILE, "", b"f"),
    ]);
    assert_eq!(run(&[written]).unwrap(), ["real/f=f", "way -> real"]);
    // A link to a folder that comes to lie deeper than it was made for.
    let moved = layer(&[
        ("d/e/", DIR, "", b""),
        ("d/e/l", SYMLINK, "../../x", b""),
        ("m", LINK, "d/e/l", b""),
        ("m", FILE, "", b"x"),
    ]);
    assert!(run(&[moved]).is_ok());
    let through = layer(&[
        ("d/e/", DIR, "", b""),
        ("d/e/l", SYMLINK, "../..", b""),
        ("m", LINK, "d/e/l", b""),
        ("m/outside", FILE, "", b"x"),
    ]);
    // Either refused or kept inside; `run` has checked that nothing outside changed.
    let _ = run(&[through]);
}

#[test]
fn bombs_are_stopped() {
    let zeros = vec![0u8; 64 * 1024 * 1024];
    let tar = layer(&[("zeros", FILE, "", &zeros)]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&tar).unwrap();
    assert!(matches!(
        run(&[gzip.finish().unwrap()]),
        Err(ImageError::TooLarge { .. })
    ));
    let zstd = zstd::encode_all(tar.as_slice(), 3).unwrap();
    assert!(matches!(run(&[zstd]), Err(ImageError::TooLarge { .. })));
    let deep = "d/".repeat(48);
    let long = layer(&[(&deep, DIR, "", b"")]);
    assert!(run(&[long]).is_ok());
    let deeper = "d/".repeat(49);
    assert!(deeper.len() <= 100);
    let mut budget = Budget {
        files: FILES_MAX,
        bytes: 0,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    std::fs::write(&path, layer(&[("one-more", FILE, "", b"")])).unwrap();
    let root = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
    let layer = Layer {
        path,
        packing: Packing::Plain,
        diff_id: None,
    };
    assert!(matches!(
        unpack_layer(&layer, &root, &mut budget),
        Err(ImageError::TooLarge { .. })
    ));
}

#[test]
fn packed_and_torn_layers() {
    let tar = layer(&[("f", FILE, "", b"content")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(tar.as_slice(), 3).unwrap();
    assert_eq!(run(std::slice::from_ref(&gzip)).unwrap(), ["f=content"]);
    assert_eq!(run(std::slice::from_ref(&zstd)).unwrap(), ["f=content"]);
    for torn in [
        &tar[..515],
        &gzip[..gzip.len() / 2],
        &zstd[..zstd.len() / 2],
        b"\x1f\x8bno",
    ] {
        assert!(run(&[torn.to_vec()]).is_err());
    }
}
