//! Client certificates: common name is the user, organizations are the groups, if the cluster's
//! authority has signed for client use. TLS itself lets any certificate pass, so that a wrong one
//! gets a 401 with words and not a broken handshake; here it is verified.
//! Kubernetes: apiserver `authentication/request/x509`.

use super::UserInfo;
use crate::stdx::Clock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The authority whose certificates are believed.
#[derive(Clone, Debug)]
pub struct CertificateAuthority {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl CertificateAuthority {
    /// From the DER form of its certificates. The error tells which is unusable.
    pub fn new(roots: &[CertificateDer<'static>]) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store
                .add(root.clone())
                .map_err(|error| format!("a client authority cannot be used: {error}"))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider)
            .build()
            .map_err(|error| format!("the client authority cannot be used: {error}"))?;
        Ok(Self { verifier })
    }

    /// The user that a chain speaks for, its own certificate first.
    pub fn user(&self, chain: &[CertificateDer<'_>], clock: &Clock) -> Result<UserInfo, String> {
        let (own, intermediates) = chain
            .split_first()
            .ok_or_else(|| "no certificate".to_owned())?;
        let seconds = u64::try_from(clock.now().as_second()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        self.verifier
            .verify_client_cert(own, intermediates, now)
            .map_err(|error| error.to_string())?;
        user_of(own)
    }
}

fn user_of(certificate: &CertificateDer<'_>) -> Result<UserInfo, String> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| format!("certificate: {error}"))?;
    let subject = parsed.subject();
    let name = subject
        .iter_common_name()
        .find_map(|name| name.as_str().ok())
        .filter(|name| !name.is_empty())
        .ok_or_else(|| "the certificate has no common name".to_owned())?;
    let groups: Vec<&str> = subject
        .iter_organization()
        .filter_map(|group| group.as_str().ok())
        .collect();
    Ok(UserInfo::new(name, &groups))
}

/// The TLS half: asks for a certificate, checks that the client holds its key, believes nothing.
#[derive(Debug)]
pub(crate) struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
    hints: Vec<DistinguishedName>,
}

impl AnyCertificate {
    pub(crate) fn new(authority: Option<&CertificateAuthority>) -> Self {
        Self {
            algorithms: rustls::crypto::ring::default_provider().signature_verification_algorithms,
            hints: authority
                .map(|authority| authority.verifier.root_hint_subjects().to_vec())
                .unwrap_or_default(),
        }
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _own: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
