//! CertificateSigningRequest: that someone be given a certificate. Must not sign.
//! Kubernetes: `pkg/apis/certificates/validation`, `pkg/registry/certificates/certificates`.

use super::signed;
use crate::meta::{FieldError, Object, names, time};
use crate::resources::columns;
use crate::resources::core::pod::defaults::child;
use crate::resources::def::{Column, PART_VERBS, ResourceDef, SelectableField, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy, keep, keep_all_but_status};
use crate::resources::validate::{At, Errors};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("certificates.k8s.io", "v1", "CertificateSigningRequest"),
    "CertificateSigningRequestList",
    ("certificatesigningrequests", "certificatesigningrequest"),
    SchemaSource::of::<k8s_openapi::api::certificates::v1::CertificateSigningRequest>(),
    &RequestStrategy,
)
.short_names(const { &[text("csr")] })
.cluster_scoped()
.subresources(
    const {
        &[
            Subresource::new("approval", "CertificateSigningRequest", PART_VERBS),
            Subresource::new("status", "CertificateSigningRequest", PART_VERBS),
        ]
    },
)
.columns(
    const {
        &[
            columns::name_column(),
            columns::age_column(),
            Column::new("SignerName", "Who is asked to sign."),
            Column::new("Requestor", "Who asks."),
            Column::new(
                "RequestedDuration",
                "How long the certificate is to be valid.",
            ),
            Column::new("Condition", "How far it has come."),
        ]
    },
    row,
)
.selectable_fields(const { &[SelectableField::path("spec.signerName")] })
.example(include_str!("example.json"));

/// What a certificate may be used for.
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
/// The signer of a version that is gone.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
/// Longest name of a signer (bytes): a domain, a namespace and a name.
const SIGNER_MAX_BYTES: usize = 253 + 1 + 253 + 1 + 63;
/// The shortest time that may be asked for (seconds).
const EXPIRATION_MIN_SECONDS: i64 = 600;
/// Conditions that are decisions: they are never taken back.
const DECISIONS: &[&str] = &["Approved", "Denied", "Failed"];

/// What a CertificateSigningRequest does beyond its shape. Who asks is filled in by admission.
pub struct RequestStrategy;

impl Strategy for RequestStrategy {
    fn default(&self, request: &mut Object) {
        child(request.fields_mut(), "status");
    }

    fn prepare_for_create(&self, request: &mut Object) {
        request.set(&["status"], json!({}));
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        match part {
            Part::Main => {
                keep(new, old, "spec");
                keep(new, old, "status");
            }
            Part::Approval => {
                let conditions = new.get(&["status", "conditions"]).cloned();
                keep_all_but_status(new, old);
                keep(new, old, "status");
                match conditions {
                    Some(conditions) => new.set(&["status", "conditions"], conditions),
                    None => {
                        new.remove(&["status", "conditions"]);
                    }
                }
            }
            _ => keep_all_but_status(new, old),
        }
    }

    fn validate(&self, request: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        spec(&At::of(request, "spec"), &mut errors);
        let status = At::of(request, "status");
        conditions(&status.field("conditions"), &mut errors);
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let (status, before) = (At::of(new, "status"), At::of(old, "status"));
        let certificate = status.field("certificate");
        let mut errors = Errors::new();
        spec(&At::of(new, "spec"), &mut errors);
        conditions(&status.field("conditions"), &mut errors);
        let old_certificate = before.field("certificate").str();
        let is_changed = certificate.str() != old_certificate;
        if is_changed && let Some(why) = signed::certificate_error(certificate.str()) {
            errors.invalid_as(&certificate, "<certificate data>", why);
        }
        kept(part, &status, &before, &mut errors);
        if is_changed && part != Part::Status {
            errors.forbidden(&certificate, "updates may not set certificate content");
        } else if is_changed && !old_certificate.is_empty() {
            let detail = "updates may not modify existing certificate content";
            errors.forbidden(&certificate, detail);
        }
        errors.0
    }

    fn has_status(&self) -> bool {
        true
    }

    fn name_errors(&self, _name: &str, _prefix: bool) -> Vec<String> {
        Vec::new()
    }
}

fn spec(spec: &At<'_, '_>, errors: &mut Errors) {
    let request = spec.field("request");
    if let Some(why) = signed::request_error(request.str()) {
        errors.invalid_as(&request, request.str(), why);
    }
    let usages = spec.field("usages");
    if usages.is_empty() {
        errors.required(&usages, "");
    }
    for usage in usages.items() {
        errors.one_of(&usage, USAGES);
    }
    let mut seen = BTreeSet::new();
    for usage in usages.items() {
        if !seen.insert(usage.str()) {
            errors.duplicate(&usage);
        }
    }
    let signer = spec.field("signerName");
    if signer.str() == LEGACY_SIGNER {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.invalid(&signer, detail);
    } else {
        signer_name(&signer, errors);
    }
    let seconds = spec.field("expirationSeconds");
    if seconds.int().is_some_and(|n| n < EXPIRATION_MIN_SECONDS) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.invalid(&seconds, detail);
    }
}

/// Kubernetes: `pkg/apis/core/validation` ValidateSignerName.
fn signer_name(at: &At<'_, '_>, errors: &mut Errors) {
    let name = at.str();
    if name.is_empty() {
        errors.required(at, "");
        return;
    }
    let parts: Vec<&str> = name.split('/').collect();
    let [domain, path] = parts.as_slice() else {
        let detail =
            "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.invalid(at, detail);
        return;
    };
    if domain.len() > names::SUBDOMAIN_MAX_BYTES {
        errors.too_long(at, names::SUBDOMAIN_MAX_BYTES);
    }
    first_wrong(at, domain, names::dns1123_label, errors);
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.invalid_as(at, *domain, detail);
    }
    first_wrong(at, path, names::dns1123_subdomain, errors);
    if name.len() > SIGNER_MAX_BYTES {
        errors.too_long(at, SIGNER_MAX_BYTES);
    }
}

/// What is wrong with the first label that is wrong.
fn first_wrong(at: &At<'_, '_>, text: &str, rule: fn(&str) -> Vec<String>, errors: &mut Errors) {
    let mut labels = text.split('.').map(|label| (label, rule(label)));
    if let Some((label, wrong)) = labels.find(|(_, wrong)| !wrong.is_empty()) {
        for detail in wrong {
            errors.invalid_as(at, text, format!("validating label {label:?}: {detail}"));
        }
    }
}

fn conditions(list: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for condition in list.items() {
        let (kind, status) = (condition.field("type"), condition.field("status"));
        if kind.str().is_empty() {
            errors.required(&kind, "");
        }
        if status.str().is_empty() {
            errors.required(&status, "");
        } else if DECISIONS.contains(&kind.str()) {
            errors.one_of(&status, &["True"]);
        } else {
            errors.one_of(&status, &["False", "True", "Unknown"]);
        }
        let other = match kind.str() {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !other.is_empty() && seen.contains(other) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.invalid(&kind, detail);
        }
        if !seen.insert(kind.str()) {
            errors.duplicate_as(&kind, kind.str());
        }
    }
}

/// Decisions stay, and only `approval` approves and denies.
fn kept(part: Part, status: &At<'_, '_>, before: &At<'_, '_>, errors: &mut Errors) {
    let at = status.field("conditions");
    let old = before.field("conditions");
    let of = |list: &At<'_, '_>, kind: &str| -> Vec<Value> {
        let ours = list
            .values()
            .filter(|c| c.get("type").and_then(Value::as_str) == Some(kind));
        ours.cloned().collect()
    };
    for kind in DECISIONS {
        if of(&at, kind).len() < of(&old, kind).len() {
            let detail = format!("updates may not remove a condition of type {kind:?}");
            errors.forbidden(&at, detail);
        }
    }
    if part == Part::Approval {
        return;
    }
    for kind in ["Approved", "Denied"] {
        let (new, old) = (of(&at, kind), of(&old, kind));
        if new.len() > old.len() {
            let detail = format!("updates may not add a condition of type {kind:?}");
            errors.forbidden(&at, detail);
        } else if new.len() == old.len() && new != old {
            let detail = format!("updates may not modify a condition of type {kind:?}");
            errors.forbidden(&at, detail);
        }
    }
}

fn row(request: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (At::of(request, "spec"), At::of(request, "status"));
    let has = |kind: &str| {
        let list = status.field("conditions");
        list.items()
            .any(|condition| condition.field("type").str() == kind)
    };
    let mut state = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        _ => "Pending",
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !status.field("certificate").str().is_empty() {
        state.push_str(",Issued");
    }
    let signer = match spec.field("signerName").str() {
        "" => "<none>",
        name => name,
    };
    let duration = match spec.field("expirationSeconds").int() {
        Some(seconds) => time::human_duration(SignedDuration::from_secs(seconds)),
        None => "<none>".to_owned(),
    };
    vec![
        json!(request.name()),
        columns::age(request, now),
        json!(signer),
        json!(spec.field("username").str()),
        json!(duration),
        json!(state),
    ]
}
