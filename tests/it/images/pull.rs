//! Pulling from registries, honest and not.

use super::registry::{Answer, BASIC, Door, Registry};
use super::{files, gzip, hello, name, open, tar, wasm};
use serde_json::json;
use wkube::oci::{Credentials, ImageError, ImageReason, Origin, PullPolicy};
use wkube::stdx::Digest;

#[tokio::test]
async fn an_artifact_is_pulled_once_and_found_offline() {
    let registry = Registry::start().await;
    let digest = registry.artifact("1", &hello());
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let image = store.pull(&registry.image("1"), None).await.unwrap();
    assert_eq!(image.reference, format!("{}/team/app:1", registry.host));
    assert_eq!(
        image.image_id(),
        format!("{}/team/app@{digest}", registry.host)
    );
    assert_eq!(
        (image.digest, image.wasm_digest),
        (digest, Digest::of(&hello()))
    );
    assert_eq!((wasm(&image), image.origin), (hello(), Origin::Pulled));
    assert_eq!(
        (image.entrypoint.as_slice(), image.rootfs.clone()),
        (&["app.wasm".to_owned()][..], None)
    );
    registry.asked();
    assert_eq!(store.pull(&registry.image("1"), None).await.unwrap(), image);
    let asked: Vec<String> = registry.asked().into_iter().map(|(path, _)| path).collect();
    assert_eq!(asked, ["/v2/", "/v2/team/app/manifests/1"]);
    assert_eq!(
        open(dir.path()).get(&registry.image("1")).unwrap().unwrap(),
        image
    );
    let by_digest = name(&format!("{}/team/app@{digest}", registry.host));
    assert_eq!(
        open(dir.path()).get(&by_digest).unwrap().unwrap().digest,
        digest
    );
}

#[tokio::test]
async fn many_at_once_fetch_one() {
    let registry = Registry::start().await;
    registry.artifact("1", &hello());
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let reference = registry.image("1");
    let pulls = (0..8).map(|_| store.pull(&reference, None));
    futures::future::try_join_all(pulls).await.unwrap();
    let blobs = registry
        .asked()
        .into_iter()
        .filter(|(path, _)| path.contains("/blobs/"));
    assert_eq!(blobs.count(), 2);
}

#[tokio::test]
async fn older_layer_types_are_modules() {
    let registry = Registry::start().await;
    for (number, media_type) in [
        "application/vnd.wasm.content.layer.v1+wasm",
        "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
    ]
    .into_iter()
    .enumerate()
    {
        let tag = number.to_string();
        let config = registry.blob("application/vnd.fermyon.spin.application.v1+config", b"[]");
        let layer = registry.blob(media_type, &hello());
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        registry.manifest(Some(&tag), &manifest);
        let dir = tempfile::tempdir().unwrap();
        let image = open(dir.path())
            .pull(&registry.image(&tag), None)
            .await
            .unwrap();
        assert_eq!(wasm(&image), hello());
    }
}

/// An image with a root filesystem, of these platforms' index entries besides.
fn image(registry: &Registry, platform: (&str, &str), entrypoint: &str) -> serde_json::Value {
    let lower = tar(&[
        ("app/main.wasm", &hello()),
        ("etc/gone", b"x"),
        ("etc/motd", b"old"),
    ]);
    let upper = tar(&[("etc/.wh.gone", b""), ("etc/motd", b"new")]);
    let config = json!({
        "os": platform.0, "architecture": platform.1,
        "config": {
            "Entrypoint": [entrypoint], "Cmd": ["--serve"], "Env": ["A=b"], "WorkingDir": "/app",
            "ExposedPorts": { "8080/tcp": {}, "53/udp": {} },
        },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&lower).to_string(), Digest::of(&upper).to_string()] },
    });
    let config = registry.blob(
        "application/vnd.oci.image.config.v1+json",
        config.to_string().as_bytes(),
    );
    let layers = [
        registry.blob("application/vnd.oci.image.layer.v1.tar+gzip", &gzip(&lower)),
        registry.blob("application/vnd.docker.image.rootfs.diff.tar", &upper),
    ];
    json!({ "schemaVersion": 2, "config": config, "layers": layers })
}

fn index(entries: &[(&str, &str, Digest)]) -> serde_json::Value {
    let manifests: Vec<_> = entries
        .iter()
        .map(|(os, architecture, digest)| {
            json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest.to_string(),
                    "size": 1, "platform": { "os": os, "architecture": architecture } })
        })
        .collect();
    json!({ "schemaVersion": 2, "manifests": manifests })
}

#[tokio::test]
async fn the_wasm_image_of_an_index_is_unpacked() {
    let registry = Registry::start().await;
    let linux = registry.manifest(None, &image(&registry, ("linux", "amd64"), "/bin/sh"));
    let wasi = registry.manifest(None, &image(&registry, ("wasi", "wasm"), "main.wasm"));
    let index = index(&[("linux", "amd64", linux), ("wasi", "wasm", wasi)]);
    registry.manifest(Some("1"), &index);
    let dir = tempfile::tempdir().unwrap();
    let image = open(dir.path())
        .pull(&registry.image("1"), None)
        .await
        .unwrap();
    assert_eq!((image.digest, wasm(&image)), (wasi, hello()));
    assert_eq!(
        (image.entrypoint, image.cmd),
        (vec!["main.wasm".to_owned()], vec!["--serve".to_owned()])
    );
    assert_eq!(
        (image.env, image.exposed_ports),
        (vec!["A=b".to_owned()], vec![8080])
    );
    assert_eq!(image.working_dir.as_deref(), Some("/app"));
    let rootfs = image.rootfs.unwrap();
    assert_eq!(
        std::fs::read_to_string(rootfs.join("etc/motd")).unwrap(),
        "new"
    );
    assert!(!rootfs.join("etc/gone").exists());
}

#[tokio::test]
async fn an_image_for_linux_is_refused_in_words() {
    let registry = Registry::start().await;
    let linux = image(&registry, ("linux", "arm64"), "/bin/sh");
    let digest = registry.manifest(Some("plain"), &linux);
    let both = index(&[
        ("linux", "amd64", digest),
        ("linux", "arm64", digest),
        ("unknown", "unknown", digest),
    ]);
    registry.manifest(Some("index"), &both);
    // A builder that knows only linux, and a program that is wasm.
    registry.manifest(
        Some("compat"),
        &image(&registry, ("linux", "amd64"), "main.wasm"),
    );
    let chart = registry.blob(
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
        b"chart",
    );
    let config = registry.blob("application/vnd.cncf.helm.config.v1+json", b"{}");
    registry.manifest(
        Some("chart"),
        &json!({ "schemaVersion": 2, "config": config, "layers": [chart] }),
    );
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (tag, found) in [
        ("plain", "linux/arm64"),
        ("index", "linux/amd64, linux/arm64"),
        (
            "chart",
            "an artifact of application/vnd.cncf.helm.chart.content.v1.tar+gzip",
        ),
    ] {
        registry.asked();
        let error = store.pull(&registry.image(tag), None).await.unwrap_err();
        assert_eq!(error.reason(), ImageReason::ErrImagePull);
        let text = error.to_string();
        assert!(text.contains(&format!("found {found};")), "{text}");
        assert!(
            text.ends_with(
                "wkube runs WebAssembly: images of platform wasi/wasm, and wasm artifacts"
            ),
            "{text}"
        );
        let layers = registry
            .asked()
            .into_iter()
            .filter(|(path, _)| path.contains("/blobs/"));
        assert!(layers.count() <= 1, "only the configuration is fetched");
    }
    assert_eq!(
        wasm(&store.pull(&registry.image("compat"), None).await.unwrap()),
        hello()
    );
}

#[tokio::test]
async fn what_is_not_what_it_was_named_is_refused() {
    let registry = Registry::start().await;
    let honest = Digest::of(&hello());
    let path = format!("/v2/team/app/blobs/{honest}");
    let mut other = hello();
    other.push(0);
    let same_length = vec![0; hello().len()];
    for answer in [
        Answer::Bytes(same_length),
        Answer::Bytes(other.clone()),
        Answer::Bytes(hello()[..4].to_vec()),
        Answer::Torn(hello()[..4].to_vec(), hello().len()),
        Answer::Endless,
        Answer::Status(500, "no".to_owned()),
        Answer::Redirect("/nowhere".to_owned()),
    ] {
        registry.artifact("1", &hello());
        registry.set(&path, answer);
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let error = store.pull(&registry.image("1"), None).await.unwrap_err();
        assert_eq!(error.reason(), ImageReason::ErrImagePull, "{error}");
        assert!(store.get(&registry.image("1")).unwrap().is_none());
        assert!(!dir.path().join("blobs/sha256").join(honest.hex()).exists());
        assert_eq!(files(&dir.path().join("tmp")), 0);
    }
    // A manifest that is not the one that was asked for.
    let digest = registry.artifact("1", &hello());
    let lie = json!({ "schemaVersion": 2, "config": {}, "layers": [] }).to_string();
    registry.set(
        &format!("/v2/team/app/manifests/{digest}"),
        Answer::Bytes(lie.into_bytes()),
    );
    let reference = name(&format!("{}/team/app@{digest}", registry.host));
    let dir = tempfile::tempdir().unwrap();
    let error = open(dir.path()).pull(&reference, None).await.unwrap_err();
    assert!(matches!(error, ImageError::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn manifests_have_limits() {
    let registry = Registry::start().await;
    registry.set("/v2/team/app/manifests/endless", Answer::Endless);
    let config = registry.blob("application/vnd.oci.image.config.v1+json", b"{}");
    let mut huge = registry.blob("application/wasm", &hello());
    huge["size"] = json!(1_u64 << 60);
    registry.manifest(
        Some("huge"),
        &json!({ "schemaVersion": 2, "config": config, "layers": [huge] }),
    );
    let mut large = config.clone();
    large["size"] = json!(100_000_000);
    let layer = registry.blob("application/wasm", &hello());
    registry.manifest(
        Some("config"),
        &json!({ "schemaVersion": 2, "config": large, "layers": [layer] }),
    );
    let many = vec![layer.clone(); 200];
    registry.manifest(
        Some("many"),
        &json!({ "schemaVersion": 2, "config": config, "layers": many }),
    );
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for tag in ["endless", "huge", "config", "many"] {
        let error = store.pull(&registry.image(tag), None).await.unwrap_err();
        assert!(
            matches!(error, ImageError::TooLarge { .. }),
            "{tag}: {error}"
        );
    }
    registry.manifest(
        Some("two"),
        &json!({ "schemaVersion": 2, "config": config, "layers": [layer, layer] }),
    );
    registry.set(
        "/v2/team/app/manifests/text",
        Answer::Bytes(b"hello".to_vec()),
    );
    for tag in ["two", "text"] {
        let error = store.pull(&registry.image(tag), None).await.unwrap_err();
        assert!(
            matches!(error, ImageError::Malformed { .. }),
            "{tag}: {error}"
        );
    }
}

#[tokio::test]
async fn a_hostile_layer_leaves_nothing_behind() {
    let registry = Registry::start().await;
    let mut hostile = tar(&[("aa/outside", b"x")]);
    hostile[..10].copy_from_slice(b"../outside");
    // The header's checksum has to be right again.
    let mut header = tar::Header::from_byte_slice(&hostile[..512]).clone();
    header.set_cksum();
    hostile[..512].copy_from_slice(header.as_bytes());
    let config =
        json!({ "os": "wasi", "architecture": "wasm", "config": { "Entrypoint": ["/a.wasm"] } });
    let config = registry.blob(
        "application/vnd.oci.image.config.v1+json",
        config.to_string().as_bytes(),
    );
    let layer = registry.blob("application/vnd.oci.image.layer.v1.tar", &hostile);
    registry.manifest(
        Some("1"),
        &json!({ "schemaVersion": 2, "config": config, "layers": [layer] }),
    );
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("images"));
    let error = store.pull(&registry.image("1"), None).await.unwrap_err();
    assert!(
        error.to_string().contains("../outside leads outside"),
        "{error}"
    );
    assert!(store.get(&registry.image("1")).unwrap().is_none());
    assert_eq!(
        files(&dir.path().join("images/rootfs")) + files(&dir.path().join("images/tmp")),
        0
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn credentials_go_where_they_belong() {
    let me = Credentials::Basic {
        username: "me".to_owned(),
        password: "secret".to_owned(),
    };
    let other = Credentials::Basic {
        username: "other".to_owned(),
        password: "wrong".to_owned(),
    };
    for door in [Door::Basic, Door::Token] {
        let (registry, storage) = (Registry::start().await, Registry::start().await);
        registry.artifact("1", &hello());
        registry.door(door);
        // Layers often lie on another host than the registry.
        let path = format!("/v2/team/app/blobs/{}", Digest::of(&hello()));
        registry.set(
            &path,
            Answer::Redirect(format!("http://{}/layer", storage.host)),
        );
        storage.set("/layer", Answer::Bytes(hello()));
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let reference = registry.image("1");
        for credentials in [None, Some(other.clone())] {
            let error = store.pull(&reference, credentials).await.unwrap_err();
            assert!(matches!(error, ImageError::Refused { .. }), "{error}");
            assert!(!error.to_string().contains("wrong"), "{error}");
        }
        registry.asked();
        let both = [other.clone(), me.clone()];
        let image = store
            .ensure(&reference, PullPolicy::IfNotPresent, &both)
            .await
            .unwrap();
        assert_eq!(wasm(&image), hello());
        assert!(
            registry
                .asked()
                .iter()
                .any(|(_, said)| said.as_deref() == Some(BASIC))
        );
        assert_eq!(storage.asked(), [("/layer".to_owned(), None)]);
    }
}

#[tokio::test]
async fn the_policy_decides_who_is_asked() {
    let registry = Registry::start().await;
    let first = registry.artifact("1", &hello());
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let reference = registry.image("1");
    let error = store
        .ensure(&reference, PullPolicy::Never, &[])
        .await
        .unwrap_err();
    assert_eq!(error.reason(), ImageReason::ErrImageNeverPull);
    assert!(registry.asked().is_empty());
    let ensure = async |policy| {
        store
            .ensure(&reference, policy, &[])
            .await
            .map(|image| image.digest)
    };
    assert_eq!(ensure(PullPolicy::IfNotPresent).await.unwrap(), first);
    let component = wat::parse_str("(component)").unwrap();
    let second = registry.artifact("1", &component);
    assert_eq!(ensure(PullPolicy::IfNotPresent).await.unwrap(), first);
    assert_eq!(ensure(PullPolicy::Always).await.unwrap(), second);
    assert_eq!(ensure(PullPolicy::Never).await.unwrap(), second);
    registry.set(
        "/v2/team/app/manifests/1",
        Answer::Status(404, String::new()),
    );
    let error = ensure(PullPolicy::Always).await.unwrap_err();
    assert!(
        error.to_string().ends_with("team/app:1: not found"),
        "{error}"
    );
}

#[tokio::test]
async fn loaded_and_bundled_names_need_no_registry() {
    // Nobody listens there.
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let loaded = name(&format!("{gone}/team/app:1"));
    let error = store
        .ensure(&loaded, PullPolicy::Always, &[])
        .await
        .unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert_eq!(error.reason(), ImageReason::ErrImagePull);
    let file = dir.path().join("hello.wat");
    std::fs::write(&file, super::HELLO).unwrap();
    store.build(&file, std::slice::from_ref(&loaded)).unwrap();
    for reference in [
        loaded,
        name("gihyodocker/echo"),
        name("gihyodocker/nginx:latest"),
    ] {
        for policy in [
            PullPolicy::Always,
            PullPolicy::IfNotPresent,
            PullPolicy::Never,
        ] {
            let image = store.ensure(&reference, policy, &[]).await.unwrap();
            assert_eq!(image.reference, reference.to_string());
        }
    }
}
