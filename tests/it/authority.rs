//! A certificate authority of a test's own.

use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;

pub(crate) struct Authority {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) der: CertificateDer<'static>,
}

pub(crate) fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "ca");
    let certificate = params.self_signed(&key).unwrap();
    Authority {
        der: certificate.der().clone(),
        issuer: Issuer::new(params, key),
    }
}
