//! Archives: what docker and others write, what wkube writes, and what nobody should.

use super::{HELLO, gzip, hello, name, open, tar, wasm};
use serde_json::json;
use wkube::oci::{Image, ImageError, Reference};
use wkube::stdx::Digest;

fn load(archive: &[u8], given: Option<&Reference>) -> Result<Vec<(Image, Vec<u8>)>, ImageError> {
    let dir = tempfile::tempdir().unwrap();
    let images = open(&dir.path().join("images")).load(&mut &archive[..], given);
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing lies beside the store"
    );
    let bytes = |image: Image| {
        let bytes = wasm(&image);
        (image, bytes)
    };
    Ok(images?.into_iter().map(bytes).collect())
}

/// A docker archive of the older form, with its layer under this name.
fn docker(os: &str, layer_name: &str, extra: &[(&str, &[u8])]) -> Vec<u8> {
    let layer = tar(&[("main.wasm", &hello())]);
    let config = json!({
        "os": os, "architecture": if os == "wasi" { "wasm" } else { "amd64" },
        "config": { "Entrypoint": ["/main.wasm"] },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer).to_string()] },
    });
    let list = json!([{ "Config": "c.json", "RepoTags": ["team/app:1"], "Layers": [layer_name] }]);
    let (config, list) = (config.to_string(), list.to_string());
    let mut files = vec![
        ("c.json", config.as_bytes()),
        ("manifest.json", list.as_bytes()),
    ];
    if extra.is_empty() {
        files.push(("layer/layer.tar", &layer));
    }
    files.extend(extra);
    tar(&files)
}

#[test]
fn what_was_saved_loads_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("app");
    std::fs::create_dir(&app).unwrap();
    std::fs::write(app.join("main.wat"), HELLO).unwrap();
    std::fs::write(app.join("data"), "data").unwrap();
    let store = open(&dir.path().join("images"));
    let built = store
        .build(&app, &[name("team/app:1"), name("team/app:2")])
        .unwrap();
    let names = [
        name("team/app:1"),
        name("team/app:2"),
        name("gihyodocker/echo"),
    ];
    let mut archive = Vec::new();
    store.save(&names, &mut archive).unwrap();
    for archive in [
        archive.clone(),
        gzip(&archive),
        zstd::encode_all(&archive[..], 3).unwrap(),
    ] {
        let other = tempfile::tempdir().unwrap();
        let other = open(other.path());
        assert_eq!(other.load(&mut &archive[..], None).unwrap().len(), 2);
        for name in &names {
            let (here, there) = (
                store.get(name).unwrap().unwrap(),
                other.get(name).unwrap().unwrap(),
            );
            assert_eq!((here.digest, wasm(&here)), (there.digest, wasm(&there)));
        }
        let there = other.get(&names[0]).unwrap().unwrap();
        assert_eq!(there.digest, built.digest);
        assert_eq!(
            std::fs::read(there.rootfs.unwrap().join("data")).unwrap(),
            b"data"
        );
    }
    // Docker's own list beside the layout says the same.
    let mut docker_only = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(&archive[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        if !["oci-layout", "index.json"].contains(&path.to_str().unwrap()) {
            let mut header = entry.header().clone();
            docker_only
                .append_data(&mut header, path, &mut entry)
                .unwrap();
        }
    }
    let wasi = load(&docker_only.into_inner().unwrap(), None);
    // The echo is an artifact, whose layer no docker archive can describe.
    assert!(wasi.is_err());
    assert!(matches!(
        store.save(&[name("none")], &mut Vec::new()),
        Err(ImageError::NotFound(_))
    ));
}

#[test]
fn archives_of_docker_load() {
    let (image, bytes) = load(&docker("wasi", "layer/layer.tar", &[]), None)
        .unwrap()
        .remove(0);
    assert_eq!(
        (image.reference.as_str(), bytes),
        ("docker.io/team/app:1", hello())
    );
    let packed = load(&gzip(&docker("wasi", "./layer/layer.tar", &[])), None).unwrap();
    assert_eq!(packed[0].0.digest, image.digest);
}

#[test]
fn an_image_without_a_name_gets_the_given_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hello.wat");
    std::fs::write(&file, HELLO).unwrap();
    let store = open(&dir.path().join("images"));
    store.build(&file, &[name("x")]).unwrap();
    let mut archive = Vec::new();
    store.save(&[name("x")], &mut archive).unwrap();
    let text = String::from_utf8_lossy(&archive).into_owned();
    let nameless = text.replace("io.containerd.image.name", "io.containerd.image.nick");
    // Same length and pure ASCII but for the module: patch the bytes.
    let at = text.find("io.containerd.image.name").unwrap();
    assert_eq!(nameless.len(), text.len());
    let at = archive
        .windows(24)
        .position(|w| w == &text.as_bytes()[at..at + 24])
        .unwrap();
    archive[at + 20..at + 24].copy_from_slice(b"nick");
    assert!(
        load(&archive, None)
            .unwrap_err()
            .to_string()
            .contains("has no name")
    );
    let given = name("given:1");
    assert_eq!(
        load(&archive, Some(&given)).unwrap()[0].0.reference,
        given.to_string()
    );
}

#[test]
fn what_is_wrong_with_an_archive_is_said() {
    for (archive, says) in [
        (Vec::new(), "neither index.json nor manifest.json"),
        (tar(&[("x", b"x")]), "neither index.json nor manifest.json"),
        (tar(&[("manifest.json", b"{}")]), "manifest.json"),
        (tar(&[("manifest.json", b"[]")]), "holds no image"),
        (docker("linux", "none.tar", &[]), "none.tar is missing"),
        (docker("wasi", "../layer.tar", &[]), "leads outside"),
        (docker("wasi", "/etc/passwd", &[]), "leads outside"),
        (
            docker("wasi", "l.tar", &[("l.tar", b"no tar at all")]),
            "image layer: failed to read entire block",
        ),
        (
            tar(&[("oci-layout", b"{}"), ("index.json", b"{}")]),
            "schemaVersion is not 2",
        ),
        (
            gzip(b"not a tar but long enough to be looked at"),
            "image archive: failed to read entire block",
        ),
    ] {
        let error = load(&archive, None).unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
    }
    let whole = docker("wasi", "layer/layer.tar", &[]);
    for cut in [100, 600, whole.len() / 2] {
        assert!(load(&whole[..cut], None).is_err(), "cut at {cut}");
    }
}

#[test]
fn hostile_archives_do_no_harm() {
    let link = |kind: tar::EntryType, target: &str| {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        tar.append_link(&mut header, "manifest.json", target)
            .unwrap();
        tar.into_inner().unwrap()
    };
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link] {
        for target in [
            "/etc/passwd",
            "../../etc/passwd",
            "manifest.json",
            "missing",
        ] {
            assert!(load(&link(kind, target), None).is_err(), "{target}");
        }
    }
    // Content under another's digest.
    let lie = format!("blobs/sha256/{}", Digest::of(b"honest").hex());
    let index = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(b"honest").to_string(), "size": 6,
        "annotations": { "io.containerd.image.name": "x" },
    }] });
    let index = index.to_string();
    let archive = tar(&[
        ("oci-layout", b"{}"),
        ("index.json", index.as_bytes()),
        (&lie, b"lie"),
    ]);
    assert!(matches!(
        load(&archive, None),
        Err(ImageError::Mismatch { .. })
    ));
    let bomb = gzip(&tar(&[("manifest.json", &vec![b' '; 64 * 1024 * 1024])]));
    assert!(matches!(
        load(&bomb, None),
        Err(ImageError::TooLarge { .. })
    ));
    let large = tar(&[("manifest.json", &vec![b' '; 5 * 1024 * 1024])]);
    assert!(matches!(
        load(&large, None),
        Err(ImageError::TooLarge { .. })
    ));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever is changed in an archive: it loads or it is refused, and nothing lies beside.
    #[test]
    fn damaged_archives_are_loaded_or_refused(
        changes in proptest::collection::vec((0usize..12_000, proptest::num::u8::ANY), 1..8),
        packed: bool,
    ) {
        let mut archive = docker("wasi", "layer/layer.tar", &[]);
        if packed {
            archive = gzip(&archive);
        }
        for (at, byte) in changes {
            let at = at % archive.len();
            archive[at] = byte;
        }
        let _ = load(&archive, None);
    }
}
