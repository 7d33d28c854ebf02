//! Volumes of a pod: exactly one source each, and what each source needs. Must not know how they
//! are made.
//! Kubernetes: `pkg/apis/core/validation` ValidateVolumes, validateVolumeSource.

use super::containers::pull_policy;
use super::env;
use super::mounts::{Volumes, local_path, no_back_steps};
use crate::meta::names;
use crate::meta::quantity::Quantity;
use crate::resources::core::persistent_volume_claim;
use crate::resources::validate::{At, Errors, metadata, selector};
use std::collections::BTreeSet;

/// Shortest and longest life of a token (seconds).
const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
/// Largest mode of a file.
const MODE_MAX: i64 = 0o777;
/// What a path of the host may be.
pub(crate) const HOST_PATH_TYPES: &[&str] = &[
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

const CACHING: &[&str] = &["None", "ReadOnly", "ReadWrite"];
const DISKS: &[&str] = &["Dedicated", "Managed", "Shared"];
/// Largest partition of a disk, and largest unit number.
const BYTE_MAX: i64 = 255;
/// Longest name of a CSI driver (bytes).
const DRIVER_MAX_BYTES: usize = 63;

/// The sources in Kubernetes' order, each with the fields it must have, all strings or lists.
const SOURCES: &[(&str, &[&str])] = &[
    ("emptyDir", &[]),
    ("hostPath", &["path"]),
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("secret", &["secretName"]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("flocker", &[]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("quobyte", &["registry", "volume"]),
    ("downwardAPI", &[]),
    ("fc", &[]),
    ("flexVolume", &["driver"]),
    ("configMap", &["name"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("storageos", &["volumeName"]),
    ("projected", &[]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("csi", &["driver"]),
    ("ephemeral", &[]),
    ("image", &["reference"]),
];

/// Checks `volumes`, and answers which of them a container can mount. `pod` is the name of the pod;
/// a template has none.
pub(super) fn validate<'v>(
    list: &At<'v, '_>,
    pod: Option<&str>,
    errors: &mut Errors,
) -> Volumes<'v> {
    let mut found = Volumes::new();
    let pod = pod.filter(|name| !name.is_empty());
    let made: BTreeSet<String> = list
        .items()
        .filter(|volume| volume.field("ephemeral").is_set())
        .filter_map(|volume| Some(format!("{}-{}", pod?, volume.field("name").str())))
        .collect();
    for volume in list.items() {
        let before = errors.0.len();
        sources(&volume, pod, errors);
        let name = volume.field("name");
        if name.str().is_empty() {
            errors.required(&name, "");
        } else {
            errors.invalid_all(&name, names::dns1123_label(name.str()));
        }
        if found.contains_key(name.str()) {
            errors.duplicate(&name);
        }
        let claim = volume.field("persistentVolumeClaim");
        if errors.0.len() == before {
            let can_be_block = claim.is_set() || volume.field("ephemeral").is_set();
            found.insert(name.str(), can_be_block);
        }
        let claim = claim.field("claimName");
        if made.contains(claim.str()) {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            errors.invalid(&claim, detail);
        }
    }
    found
}

fn sources(volume: &At<'_, '_>, pod: Option<&str>, errors: &mut Errors) {
    let mut found = false;
    for (kind, required) in SOURCES {
        let at = volume.field(kind);
        if !at.is_set() {
            continue;
        }
        if found {
            // Two of Kubernetes' paths are not the field's name.
            let path = match *kind {
                "cephfs" => "cephFS",
                "downwardAPI" => "downwarAPI",
                kind => kind,
            };
            let detail = "may not specify more than 1 volume type";
            errors.forbidden(&volume.field(path), detail);
            continue;
        }
        found = true;
        if *kind == "gcePersistentDisk" {
            let path = format!("{}.persistentDisk", volume.path());
            source(kind, required, &At::root(at.value, &path), errors);
        } else {
            source(kind, required, &at, errors);
        }
        if let ("ephemeral", Some(pod)) = (*kind, pod) {
            let name = volume.field("name");
            let claim = format!("{pod}-{}", name.str());
            for detail in names::dns1123_subdomain(&claim)
                .iter()
                .filter(|_| name.is_set())
            {
                errors.invalid(&name, format!("PVC name {claim:?}: {detail}"));
            }
        }
    }
    if !found {
        errors.required(volume, "must specify a volume type");
    }
}

fn source(kind: &str, required: &[&str], at: &At<'_, '_>, errors: &mut Errors) {
    for field in required {
        let field = at.field(field);
        if field.str().is_empty() && field.is_empty() {
            errors.required(&field, "");
        }
    }
    match kind {
        "emptyDir" => {
            let limit = at.field("sizeLimit");
            let amount = Quantity::from_value(limit.value);
            if limit.is_set() && amount.is_ok_and(|amount| amount.is_negative()) {
                let detail = "SizeLimit field must be a valid resource quantity";
                errors.forbidden(&limit, detail);
            }
        }
        "hostPath" if !at.field("path").str().is_empty() => {
            no_back_steps(&at.field("path"), errors);
            errors.one_of(&at.field("type"), HOST_PATH_TYPES);
        }
        "gitRepo" => local_path(&at.field("directory"), errors),
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            byte(&at.field("partition"), 1, errors);
        }
        "nfs" if !at.field("path").str().starts_with('/') => {
            let path = at.field("path");
            errors.invalid_as(&path, path.str(), "must be an absolute path");
        }
        "secret" | "configMap" => {
            mode(&at.field("defaultMode"), errors);
            items(&at.field("items"), errors);
        }
        "downwardAPI" => {
            mode(&at.field("defaultMode"), errors);
            downward(at, errors);
        }
        "projected" => {
            mode(&at.field("defaultMode"), errors);
            projections(at, errors);
        }
        "ephemeral" => {
            let template = at.field("volumeClaimTemplate");
            if template.is_set() {
                claim_template(&template, errors);
            } else {
                errors.required(&template, "");
            }
        }
        "image" => pull_policy(&at.field("pullPolicy"), errors),
        "azureDisk" => {
            errors.one_of(&at.field("cachingMode"), CACHING);
            errors.one_of(&at.field("kind"), DISKS);
        }
        "csi" => csi(at, errors),
        "fc" => fibre(at, errors),
        "iscsi" => iscsi(at, errors),
        "flexVolume" => reserved_options(&at.field("options"), errors),
        _ => {}
    }
}

/// Of the metadata of a claim that is made for a pod only labels and annotations may be given.
fn claim_template(template: &At<'_, '_>, errors: &mut Errors) {
    let own = template.field("metadata");
    metadata::annotations(&own.field("annotations"), errors);
    metadata::labels(&own.field("labels"), errors);
    for (name, value) in own.entries() {
        if !matches!(name, "annotations" | "labels") && !value.is_null() {
            errors.forbidden(&own.field(name), "cannot be set");
        }
    }
    persistent_volume_claim::spec(&template.field("spec"), errors);
}

/// A number from 0 to 255; a message may speak of another least one.
fn byte(at: &At<'_, '_>, told: i64, errors: &mut Errors) {
    if !(0..=BYTE_MAX).contains(&at.number()) {
        let detail = format!("must be between {told} and {BYTE_MAX}, inclusive");
        errors.invalid(at, detail);
    }
}

fn csi(at: &At<'_, '_>, errors: &mut Errors) {
    let driver = at.field("driver");
    if driver.str().len() > DRIVER_MAX_BYTES {
        errors.too_long(&driver, DRIVER_MAX_BYTES);
    }
    if !driver.str().is_empty() {
        let lower = driver.str().to_lowercase();
        errors.invalid_all(&driver, names::dns1123_subdomain(&lower));
    }
    let secret = at.field("nodePublishSecretRef");
    if secret.is_set() && secret.field("name").str().is_empty() {
        errors.required(&secret.field("name"), "");
    }
}

fn fibre(at: &At<'_, '_>, errors: &mut Errors) {
    let (names, ids, lun) = (at.field("targetWWNs"), at.field("wwids"), at.field("lun"));
    match (names.is_empty(), ids.is_empty()) {
        (true, true) => {
            let detail = "must specify either targetWWNs or wwids, but not both";
            errors.required(&names, detail);
        }
        (false, false) => {
            let detail = "targetWWNs and wwids can not be specified simultaneously";
            errors.invalid(&names, detail);
        }
        _ => {}
    }
    if names.is_empty() {
        return;
    }
    if lun.is_set() {
        byte(&lun, 0, errors);
    } else {
        errors.required(&lun, "lun is required if targetWWNs is specified");
    }
}

fn iscsi(at: &At<'_, '_>, errors: &mut Errors) {
    let name = at.field("iqn");
    let known = ["iqn", "eui", "naa"];
    if !name.str().is_empty() && !known.iter().any(|start| name.str().starts_with(start)) {
        let detail = "must be valid format starting with iqn, eui, or naa";
        errors.invalid(&name, detail);
    }
    byte(&at.field("lun"), 0, errors);
    let asks = at.field("chapAuthDiscovery").bool() || at.field("chapAuthSession").bool();
    if asks && !at.field("secretRef").is_set() {
        errors.required(&at.field("secretRef"), "");
    }
}

fn reserved_options(options: &At<'_, '_>, errors: &mut Errors) {
    for (key, _) in options.entries() {
        let domain = key.split_once('/').map_or(key, |(domain, _)| domain);
        let domain = format!(".{}", domain.to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.invalid_as(&options.key(key), key, detail);
        }
    }
}

fn mode(at: &At<'_, '_>, errors: &mut Errors) {
    if at.int().is_some_and(|mode| !(0..=MODE_MAX).contains(&mode)) {
        errors.invalid(
            at,
            "must be a number between 0 and 0777 (octal), both inclusive",
        );
    }
}

fn items(list: &At<'_, '_>, errors: &mut Errors) {
    for item in list.items() {
        let (key, path) = (item.field("key"), item.field("path"));
        if key.str().is_empty() {
            errors.required(&key, "");
        }
        file_path(&path, errors);
        mode(&item.field("mode"), errors);
    }
}

/// Where a file stands in a volume.
fn file_path(path: &At<'_, '_>, errors: &mut Errors) {
    if path.str().is_empty() {
        errors.required(path, "");
    }
    local_file(path, errors);
}

fn local_file(path: &At<'_, '_>, errors: &mut Errors) {
    local_path(path, errors);
    if path.str().starts_with("..") && !path.str().starts_with("../") {
        errors.invalid(path, "must not start with '..'");
    }
}

/// Checks `items` of a downward API volume. Kubernetes' paths do not say which one is wrong.
fn downward(volume: &At<'_, '_>, errors: &mut Errors) {
    let root = volume.path();
    for item in volume.field("items").items() {
        let item = At::root(item.value, &root);
        file_path(&item.field("path"), errors);
        let (field, amount) = (item.field("fieldRef"), item.field("resourceFieldRef"));
        if field.is_set() {
            env::field_ref(&field, env::VOLUME_FIELDS, errors);
            if amount.is_set() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.invalid_as(&item, "resource", detail);
            }
        } else if amount.is_set() {
            env::resource_ref(&amount, true, errors);
        } else {
            errors.required(&item, "one of fieldRef and resourceFieldRef is required");
        }
        mode(&item.field("mode"), errors);
    }
}

fn projections(projected: &At<'_, '_>, errors: &mut Errors) {
    let mut paths = BTreeSet::new();
    for source in projected.field("sources").items() {
        let mut found = 0;
        for kind in PROJECTIONS {
            let at = source.field(kind);
            if !at.is_set() {
                continue;
            }
            found += 1;
            projection(kind, projected, &at, errors);
            for (path, told) in projected_paths(kind, &at) {
                if !paths.insert(path) {
                    errors.invalid_as(projected, told, "conflicting duplicate paths");
                }
            }
        }
        if found > 1 {
            let detail = "may not specify more than 1 volume type per source";
            errors.forbidden(&source, detail);
        }
    }
}

/// In Kubernetes' order.
const PROJECTIONS: &[&str] = &[
    "secret",
    "configMap",
    "downwardAPI",
    "serviceAccountToken",
    "clusterTrustBundle",
    "podCertificate",
];

fn projection(kind: &str, projected: &At<'_, '_>, at: &At<'_, '_>, errors: &mut Errors) {
    match kind {
        "secret" | "configMap" => {
            if at.field("name").str().is_empty() {
                errors.required(&at.field("name"), "");
            }
            items(&at.field("items"), errors);
        }
        "downwardAPI" => downward(at, errors),
        "serviceAccountToken" => {
            let seconds = at.field("expirationSeconds");
            match seconds.number() {
                n if n < TOKEN_SECONDS_MIN => {
                    let detail = "may not specify a duration less than 10 minutes";
                    errors.invalid_as(&seconds, n, detail);
                }
                n if n > TOKEN_SECONDS_MAX => {
                    let detail = "may not specify a duration larger than 2^32 seconds";
                    errors.invalid(&seconds, detail);
                }
                _ => {}
            }
            // The path is Kubernetes': of the volume, not of the token.
            let root = projected.path();
            let root = At::root(at.value, &root);
            file_path(&root.field("path"), errors);
        }
        "clusterTrustBundle" => {
            trust_bundle(at, errors);
            file_path(&at.field("path"), errors);
        }
        _ => {
            let paths = ["credentialBundlePath", "keyPath", "certificateChainPath"];
            let mut given = 0;
            for path in paths {
                let path = at.field(path);
                given += usize::from(!path.str().is_empty());
                local_file(&path, errors);
            }
            if given == 0 {
                let detail = "specify at least one of credentialBundlePath, keyPath, and \
                              certificateChainPath";
                errors.required(at, detail);
            }
        }
    }
}

fn trust_bundle(at: &At<'_, '_>, errors: &mut Errors) {
    let (name, signer) = (at.field("name"), at.field("signerName"));
    match (name.is_set(), signer.is_set()) {
        (true, true) => errors.invalid(at, "only one of name and signerName may be used"),
        (false, false) => errors.required(at, "either name or signerName must be specified"),
        (true, false) => {
            if name.str().is_empty() {
                errors.required(&name, "must be a valid object name");
            }
            let selector = at.field("labelSelector");
            if selector.is_set() {
                errors.invalid(
                    &selector,
                    "labelSelector must be unset if name is specified",
                );
            }
        }
        (false, true) => {
            if signer.str().is_empty() {
                errors.required(&signer, "must be a valid signer name");
            }
            selector::label_selector(&at.field("labelSelector"), errors);
        }
    }
}

/// The files that a projection makes, and what a clash of each is told with.
fn projected_paths<'v>(kind: &str, at: &At<'v, '_>) -> Vec<(&'v str, &'v str)> {
    let text = |value: &'v serde_json::Value, field: &str| {
        let text = value.get(field).and_then(|p| p.as_str());
        text.filter(|text| !text.is_empty())
    };
    let own = |field: &str| text(at.value, field).map(|path| (path, path));
    match kind {
        "serviceAccountToken" => Vec::new(),
        "clusterTrustBundle" => own("path").into_iter().collect(),
        "podCertificate" => ["credentialBundlePath", "keyPath", "certificateChainPath"]
            .into_iter()
            .filter_map(own)
            .collect(),
        _ => {
            let items = at.field("items").values();
            let paths = items.filter_map(|item| text(item, "path"));
            let name = text(at.value, "name").filter(|_| kind != "downwardAPI");
            paths.map(|path| (path, name.unwrap_or(path))).collect()
        }
    }
}
