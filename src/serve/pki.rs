//! The cluster's own certificate authority and what it signs at each start: the server's
//! certificate and the admin's. Keys are P-256, files are 0600. Must never know requests.

use crate::serve::ServeError;
use crate::stdx::{Clock, write_atomic};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use std::net::IpAddr;
use std::path::Path;
use time::{Duration, OffsetDateTime};

/// How long the authority is valid.
const CA_DAYS: i64 = 3_650;
/// How long what it signs is valid; it is signed anew at each start.
const LEAF_DAYS: i64 = 365;
/// Clocks of clients may be behind by this much.
const SKEW_HOURS: i64 = 1;

/// A certificate with its key, as PEM.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The certificate.
    pub(crate) certificate_pem: String,
    /// Its key.
    pub(crate) key_pem: String,
}

/// The cluster's certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    clock: Clock,
}

impl Authority {
    /// Reads the authority from `folder`, or makes it there; without a folder it lives in memory.
    pub(crate) fn open(folder: Option<&Path>, clock: &Clock) -> Result<Self, ServeError> {
        let Some(folder) = folder else {
            return Self::make(clock).map(|(authority, _)| authority);
        };
        let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
        match (
            std::fs::read_to_string(&certificate),
            std::fs::read_to_string(&key),
        ) {
            (Ok(certificate_pem), Ok(key_pem)) => Self::read(certificate_pem, &key_pem, clock)
                .map_err(|error| ServeError::file(&certificate, error)),
            (Err(c), Err(k))
                if c.kind() == std::io::ErrorKind::NotFound
                    && k.kind() == std::io::ErrorKind::NotFound =>
            {
                let (authority, key_pem) = Self::make(clock)?;
                write_atomic(&key, key_pem.as_bytes(), 0o600)
                    .map_err(|error| ServeError::file(&key, error))?;
                write_atomic(&certificate, authority.certificate_pem.as_bytes(), 0o644)
                    .map_err(|error| ServeError::file(&certificate, error))?;
                Ok(authority)
            }
            (Err(error), _) => Err(ServeError::file(&certificate, error)),
            (_, Err(error)) => Err(ServeError::file(&key, error)),
        }
    }

    fn read(certificate_pem: String, key_pem: &str, clock: &Clock) -> Result<Self, rcgen::Error> {
        let key = KeyPair::from_pem(key_pem)?;
        // Reads the subject and the key usages that the leaves must name; nothing is re-signed.
        let issuer = Issuer::new(ca_params(clock)?, key);
        Ok(Self {
            issuer,
            certificate_pem,
            clock: clock.clone(),
        })
    }

    fn make(clock: &Clock) -> Result<(Self, String), ServeError> {
        let made = || -> Result<(Self, String), rcgen::Error> {
            let key = KeyPair::generate()?;
            let key_pem = key.serialize_pem();
            let params = ca_params(clock)?;
            let certificate_pem = params.self_signed(&key)?.pem();
            let issuer = Issuer::new(params, key);
            Ok((
                Self {
                    issuer,
                    certificate_pem,
                    clock: clock.clone(),
                },
                key_pem,
            ))
        };
        made().map_err(|error| ServeError::Start(format!("the certificate authority: {error}")))
    }

    /// The authority's certificate, which clients trust.
    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A certificate for the API server under these names and addresses.
    pub(crate) fn server(&self, addresses: &[IpAddr]) -> Result<Identity, ServeError> {
        let mut names: Vec<String> = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ]
        .map(str::to_owned)
        .to_vec();
        names.extend(addresses.iter().map(ToString::to_string));
        self.sign(
            names,
            "kube-apiserver",
            &[],
            ExtendedKeyUsagePurpose::ServerAuth,
        )
    }

    /// A certificate for a client; its groups are its organizations, as Kubernetes reads them.
    pub(crate) fn client(&self, user: &str, groups: &[&str]) -> Result<Identity, ServeError> {
        self.sign(
            Vec::new(),
            user,
            groups,
            ExtendedKeyUsagePurpose::ClientAuth,
        )
    }

    fn sign(
        &self,
        names: Vec<String>,
        common_name: &str,
        organizations: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity, ServeError> {
        let signed = || -> Result<Identity, rcgen::Error> {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(names)?;
            let mut subject = DistinguishedName::new();
            subject.push(DnType::CommonName, common_name);
            for organization in organizations {
                subject.push(DnType::OrganizationName, *organization);
            }
            params.distinguished_name = subject;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![usage];
            params.use_authority_key_identifier_extension = true;
            set_validity(&mut params, &self.clock, LEAF_DAYS);
            let certificate = params.signed_by(&key, &self.issuer)?;
            Ok(Identity {
                certificate_pem: certificate.pem(),
                key_pem: key.serialize_pem(),
            })
        };
        signed().map_err(|error| ServeError::Start(format!("a certificate: {error}")))
    }
}

/// Reads the key of service accounts' tokens from `folder`, or makes it there; without a folder a
/// new one. In PKCS#8 form.
pub(crate) fn accounts_key(folder: Option<&Path>) -> Result<Vec<u8>, ServeError> {
    let failed = |error: &dyn std::fmt::Display| {
        ServeError::Start(format!("the key of service accounts' tokens: {error}"))
    };
    let Some(folder) = folder else {
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        return Ok(key.serialize_der());
    };
    let path = folder.join("sa.key");
    match std::fs::read_to_string(&path) {
        Ok(pem) => KeyPair::from_pem(&pem)
            .map(|key| key.serialize_der())
            .map_err(|error| ServeError::file(&path, error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = KeyPair::generate().map_err(|error| failed(&error))?;
            write_atomic(&path, key.serialize_pem().as_bytes(), 0o600)
                .map_err(|error| ServeError::file(&path, error))?;
            Ok(key.serialize_der())
        }
        Err(error) => Err(ServeError::file(&path, error)),
    }
}

fn ca_params(clock: &Clock) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "wkube-ca");
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, clock, CA_DAYS);
    Ok(params)
}

fn set_validity(params: &mut CertificateParams, clock: &Clock, days: i64) {
    let now = OffsetDateTime::from_unix_timestamp(clock.now().as_second())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now.saturating_sub(Duration::hours(SKEW_HOURS));
    params.not_after = now.saturating_add(Duration::days(days));
}

/// A kubeconfig for the admin: everything inline, so that the file can be carried elsewhere.
pub(crate) fn kubeconfig(server: &str, authority: &Authority, admin: &Identity) -> String {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: wkube\n  cluster:\n    server: {server}\n    certificate-authority-data: {ca}\n\
         users:\n\
         - name: wkube-admin\n  user:\n    client-certificate-data: {certificate}\n    \
         client-key-data: {key}\n\
         contexts:\n\
         - name: wkube\n  context:\n    cluster: wkube\n    user: wkube-admin\n\
         current-context: wkube\n",
        ca = encode(authority.certificate_pem()),
        certificate = encode(&admin.certificate_pem),
        key = encode(&admin.key_pem),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_read_again_and_its_leaves_verify() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::real();
        let first = Authority::open(Some(folder.path()), &clock).unwrap();
        let second = Authority::open(Some(folder.path()), &clock).unwrap();
        assert_eq!(first.certificate_pem(), second.certificate_pem());
        let leaf = second
            .client("kubernetes-admin", &["system:masters"])
            .unwrap();
        let (_, ca) = x509_parser::pem::parse_x509_pem(first.certificate_pem().as_bytes()).unwrap();
        let (_, leaf) = x509_parser::pem::parse_x509_pem(leaf.certificate_pem.as_bytes()).unwrap();
        let (ca, leaf) = (ca.parse_x509().unwrap(), leaf.parse_x509().unwrap());
        assert_eq!(leaf.issuer(), ca.subject());
        let user = leaf
            .subject()
            .iter_common_name()
            .next()
            .unwrap()
            .as_str()
            .unwrap();
        assert_eq!(user, "kubernetes-admin");
    }

    #[test]
    fn the_key_of_tokens_is_kept_for_nobody_else() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let first = accounts_key(Some(folder.path())).unwrap();
        assert_eq!(accounts_key(Some(folder.path())).unwrap(), first);
        assert_ne!(accounts_key(None).unwrap(), first);
        let path = folder.path().join("sa.key");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, "not a key").unwrap();
        let error = accounts_key(Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("sa.key"), "{error}");
    }

    #[test]
    fn a_damaged_authority_is_told_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), "not a certificate").unwrap();
        std::fs::write(folder.path().join("ca.key"), "not a key").unwrap();
        let error = Authority::open(Some(folder.path()), &Clock::real())
            .err()
            .unwrap();
        assert!(error.to_string().contains("ca.crt"), "{error}");
        let kept = std::fs::read_to_string(folder.path().join("ca.key")).unwrap();
        assert_eq!(kept, "not a key");
    }
}
