//! The store on this machine: building, naming, removing, two processes, damage.

use super::{HELLO, files, hello, name, open, wasm};
use wkube::oci::{BUNDLED, ImageError, ImageReason, ImageStore, Origin};

#[test]
fn bundled_images_touch_no_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let before = files(dir.path());
    for (text, program) in [
        ("gihyodocker/echo:latest", "wasm-echo.wasm"),
        ("docker.io/gihyodocker/nginx", "wasm-nginx.wasm"),
        ("wkube/wasm-http", "wasm-http.wasm"),
    ] {
        let image = store.get(&name(text)).unwrap().unwrap();
        assert_eq!(
            (image.origin, image.entrypoint.as_slice()),
            (Origin::Bundled, &[program.to_owned()][..])
        );
        assert_eq!(wkube::stdx::Digest::of(&wasm(&image)), image.wasm_digest);
        let by_digest = name(&image.image_id());
        assert_eq!(store.get(&by_digest).unwrap().unwrap().digest, image.digest);
    }
    assert!(store.get(&name("gihyodocker/echo:v2")).unwrap().is_none());
    assert_eq!(files(dir.path()), before);
    assert!(
        store
            .remove(&name("gihyodocker/echo"))
            .unwrap_err()
            .to_string()
            .contains("part of wkube")
    );
}

#[test]
fn the_same_input_is_the_same_image() {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("app");
    std::fs::create_dir_all(app.join("etc")).unwrap();
    std::fs::write(app.join("main.wat"), HELLO).unwrap();
    std::fs::write(app.join("etc/motd"), "welcome").unwrap();
    std::os::unix::fs::symlink("motd", app.join("etc/link")).unwrap();
    let store = open(&dir.path().join("one"));
    let image = store.build(&app, &[name("app"), name("app:2")]).unwrap();
    assert_eq!(
        (wasm(&image), image.entrypoint.as_slice()),
        (hello(), &["/main.wasm".to_owned()][..])
    );
    let rootfs = image.rootfs.clone().unwrap();
    assert_eq!(
        std::fs::read_to_string(rootfs.join("etc/link")).unwrap(),
        "welcome"
    );
    assert!(!rootfs.join("main.wat").exists());
    assert_eq!(
        store.get(&name("app:2")).unwrap().unwrap().digest,
        image.digest
    );
    let other = open(&dir.path().join("two"))
        .build(&app, &[name("else")])
        .unwrap();
    assert_eq!(other.digest, image.digest);
    let file = app.join("main.wat");
    let one = store.build(&file, &[name("file")]).unwrap();
    assert_eq!(
        (one.rootfs, one.entrypoint),
        (None, vec!["main.wasm".to_owned()])
    );
}

#[test]
fn what_cannot_start_is_not_built() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("images"));
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    };
    for (path, says) in [
        (file("text.wasm", "hello"), "is no WebAssembly module"),
        (file("wrong.wat", "(module"), "wrong.wat"),
        (dir.path().join("none.wasm"), "No such file"),
        (
            file("empty/readme", "x").parent().unwrap().to_owned(),
            "holds no .wasm",
        ),
        (
            file("two/a.wasm", "x").parent().unwrap().to_owned(),
            "is no WebAssembly module",
        ),
    ] {
        let error = store.build(&path, &[name("x")]).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    file("two/b.wat", HELLO);
    let error = store
        .build(&dir.path().join("two"), &[name("x")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("holds 2 .wasm or .wat files"), "{error}");
    assert!(store.get(&name("x")).unwrap().is_none());
}

#[test]
fn names_come_and_go_and_content_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hello.wat");
    std::fs::write(&file, HELLO).unwrap();
    let images = dir.path().join("images");
    let (store, other) = (open(&images), open(&images));
    store.build(&file, &[name("a")]).unwrap();
    other.tag(&name("a"), &name("b:1")).unwrap();
    other.tag(&name("gihyodocker/echo"), &name("mine")).unwrap();
    // A name of one's own hides the bundled one.
    other.tag(&name("a"), &name("gihyodocker/echo")).unwrap();
    assert_eq!(
        store
            .get(&name("gihyodocker/echo"))
            .unwrap()
            .unwrap()
            .origin,
        Origin::Loaded
    );
    let names = |store: &ImageStore| -> Vec<String> {
        let loaded = store
            .list()
            .unwrap()
            .into_iter()
            .filter(|i| i.origin == Origin::Loaded);
        loaded.map(|image| image.reference.to_string()).collect()
    };
    let all = [
        "docker.io/gihyodocker/echo:latest",
        "docker.io/library/a:latest",
        "docker.io/library/b:1",
        "docker.io/library/mine:latest",
    ];
    assert_eq!(
        (names(&store), names(&other)),
        (
            all.map(str::to_owned).to_vec(),
            all.map(str::to_owned).to_vec()
        )
    );
    assert_eq!(store.remove(&name("a")).unwrap(), 0);
    store.remove(&name("gihyodocker/echo")).unwrap();
    assert_eq!(
        store
            .get(&name("gihyodocker/echo"))
            .unwrap()
            .unwrap()
            .origin,
        Origin::Bundled
    );
    assert!(store.remove(&name("b:1")).unwrap() > 0);
    assert!(other.get(&name("b:1")).unwrap().is_none());
    assert!(matches!(
        other.remove(&name("b:1")),
        Err(ImageError::NotFound(_))
    ));
    store.remove(&name("mine")).unwrap();
    assert_eq!(
        files(&images.join("blobs")) + files(&images.join("images")),
        0
    );
}

#[test]
fn damage_is_noticed_before_use() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hello.wat");
    std::fs::write(&file, HELLO).unwrap();
    let images = dir.path().join("images");
    let image = open(&images).build(&file, &[name("a")]).unwrap();
    let blob = images.join("blobs/sha256").join(image.wasm_digest.hex());
    std::fs::write(&blob, b"\0asm\x01\0\0\0damaged").unwrap();
    let error = open(&images).get(&name("a")).unwrap_err();
    assert_eq!(error.reason(), ImageReason::ImageInspectError);
    // Building it again mends it, and so does making again what can be made again.
    open(&images).build(&file, &[name("a")]).unwrap();
    std::fs::remove_dir_all(images.join("images")).unwrap();
    assert_eq!(open(&images).get(&name("a")).unwrap().unwrap(), image);
}

#[test]
fn leftovers_of_a_crash_are_swept_and_work_is_not() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path());
    let crashed = dir.path().join("tmp/crashed");
    std::fs::create_dir(&crashed).unwrap();
    std::fs::write(crashed.join("lock"), "").unwrap();
    std::fs::write(crashed.join("half"), "half").unwrap();
    let working = dir.path().join("tmp/working");
    std::fs::create_dir(&working).unwrap();
    let lock = std::fs::File::create(working.join("lock")).unwrap();
    lock.lock().unwrap();
    open(dir.path());
    assert!(!crashed.exists() && working.exists());
}

#[test]
fn a_store_in_memory_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hello.wat");
    std::fs::write(&file, HELLO).unwrap();
    let store = ImageStore::open(None, BUNDLED).unwrap();
    assert!(store.get(&name("a")).unwrap().is_none());
    let image = store.build(&file, &[name("a")]).unwrap();
    let wkube::oci::ImageWasm::Path(path) = &store.get(&name("a")).unwrap().unwrap().wasm else {
        panic!()
    };
    assert_eq!(wasm(&image), hello());
    drop(store);
    assert!(
        !path.exists()
            && !path
                .parent()
                .unwrap()
                .parent()
                .unwrap()
                .parent()
                .unwrap()
                .exists()
    );
}

#[test]
fn a_store_in_memory_finds_what_was_loaded_and_leaves_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hello.wat");
    std::fs::write(&file, HELLO).unwrap();
    let images = dir.path().join("images");
    // There need be no folder, and none is made.
    let store = ImageStore::open_over(&images, BUNDLED).unwrap();
    assert!(store.get(&name("a")).unwrap().is_none() && !images.exists());
    let built = open(&images).build(&file, &[name("a")]).unwrap();
    let before = files(&images);
    let store = ImageStore::open_over(&images, BUNDLED).unwrap();
    assert_eq!(store.get(&name("a")).unwrap().unwrap(), built);
    std::fs::write(&file, "(component)").unwrap();
    let other = store.build(&file, &[name("a"), name("b")]).unwrap();
    assert_eq!(store.get(&name("a")).unwrap().unwrap().digest, other.digest);
    store.remove(&name("a")).unwrap();
    assert_eq!(store.get(&name("a")).unwrap().unwrap(), built);
    assert_eq!(files(&images), before);
}
