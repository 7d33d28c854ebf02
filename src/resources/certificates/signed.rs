//! Whether bytes are a certificate request that its key has signed, or certificates. Must not know
//! whom they are for.
//! Kubernetes: `pkg/apis/certificates/validation` validateCSR, validateCertificate.

use super::pem;
use rustls::crypto::ring;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::AlgorithmIdentifier;

/// Why `field` (base64 of PEM) is no request that was signed by its own key.
pub(super) fn request_error(field: &str) -> Option<String> {
    let blocks = pem::blocks(field);
    let Some(block) = blocks.first().filter(|b| b.label == "CERTIFICATE REQUEST") else {
        return Some("PEM block type must be CERTIFICATE REQUEST".to_owned());
    };
    let Ok((rest, request)) = X509CertificationRequest::from_der(&block.content) else {
        return Some("x509: malformed certificate request".to_owned());
    };
    if !rest.is_empty() {
        return Some("asn1: syntax error: trailing data".to_owned());
    }
    (!is_signed(&request)).then(|| "x509: the signature of the request is not valid".to_owned())
}

/// Whether the key in a request has signed it, by any algorithm that TLS knows.
fn is_signed(request: &X509CertificationRequest<'_>) -> bool {
    let info = &request.certification_request_info;
    let key = &info.subject_pki;
    let (signed_by, key_kind) = (
        identifier(&request.signature_algorithm),
        identifier(&key.algorithm),
    );
    let known = ring::default_provider().signature_verification_algorithms;
    known
        .all
        .iter()
        .filter(|one| {
            *one.signature_alg_id() == *signed_by && *one.public_key_alg_id() == *key_kind
        })
        .any(|one| {
            let signature = &request.signature_value.data;
            one.verify_signature(&key.subject_public_key.data, info.raw, signature)
                .is_ok()
        })
}

/// The DER of an algorithm's name and parameters, without the sequence around them.
fn identifier(of: &AlgorithmIdentifier<'_>) -> Vec<u8> {
    const OBJECT_IDENTIFIER: u32 = 6;
    let mut der = Vec::new();
    let mut put = |tag: u32, content: &[u8]| {
        // Algorithms that are known have short names; what does not fit equals none of them.
        der.push(u8::try_from(tag).unwrap_or_default());
        der.push(u8::try_from(content.len()).unwrap_or_default());
        der.extend_from_slice(content);
    };
    put(OBJECT_IDENTIFIER, of.algorithm.as_bytes());
    if let Some(parameters) = &of.parameters {
        put(parameters.tag().0, parameters.data);
    }
    der
}

/// Why `field` (base64 of PEM) is no list of certificates; an empty one is fine.
pub(super) fn certificate_error(field: &str) -> Option<String> {
    if field.is_empty() {
        return None;
    }
    let blocks = pem::blocks(field);
    if blocks.is_empty() {
        return Some("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    blocks.iter().find_map(|block| {
        if block.label != "CERTIFICATE" {
            let label = &block.label;
            return Some(format!(
                "only CERTIFICATE PEM blocks are allowed, found {label:?}"
            ));
        }
        if block.has_headers {
            return Some("no PEM block headers are permitted".to_owned());
        }
        let right = X509Certificate::from_der(&block.content).is_ok();
        (!right).then(|| "x509: malformed certificate".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::certificates::certificate_signing_request::DEF;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn a_request_is_signed_by_its_own_key() {
        let example: serde_json::Value = serde_json::from_str(&DEF.example).unwrap();
        let field = example["spec"]["request"].as_str().unwrap();
        assert_eq!(request_error(field), None);
        let mut der = pem::blocks(field).remove(0).content;
        *der.last_mut().unwrap() ^= 1;
        let text = STANDARD.encode(&der);
        let label = "CERTIFICATE REQUEST";
        let wrong = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
        let why = request_error(&STANDARD.encode(wrong)).unwrap();
        assert!(why.contains("signature"), "{why}");
        assert!(
            certificate_error(field)
                .unwrap()
                .contains("CERTIFICATE REQUEST")
        );
    }
}
