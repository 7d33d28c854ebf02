//! The key that signs service accounts' tokens: ECDSA on P-256 (ES256), and its public half as
//! others read it. Must not know what is signed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The only algorithm that is signed with and believed.
pub(super) const ALGORITHM: &str = "ES256";
/// What a public key of the curve begins with in DER (SubjectPublicKeyInfo); the point follows.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Bytes of a coordinate.
const COORDINATE: usize = 32;

pub(super) struct Key {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    id: String,
}

impl Key {
    /// From its PKCS#8 form.
    pub(super) fn read(pkcs8: &[u8]) -> Result<Self, String> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)
            .map_err(|error| format!("the key of service accounts' tokens: {error}"))?;
        let mut digest = Sha256::new();
        digest.update(SPKI_PREFIX);
        digest.update(pair.public_key());
        let id = URL_SAFE_NO_PAD.encode(digest.finalize());
        Ok(Self { pair, random, id })
    }

    /// A new one, in PKCS#8 form.
    pub(super) fn generate() -> Result<Vec<u8>, String> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map(|document| document.as_ref().to_vec())
            .map_err(|error| format!("no key can be made: {error}"))
    }

    /// By what it is named.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        self.pair
            .sign(&self.random, message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|error| format!("failed to generate token: {error}"))
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key());
        public.verify(message, signature).is_ok()
    }

    /// The public half as a JSON Web Key (RFC 7517).
    pub(super) fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let coordinate = |from: usize| {
            let bytes = point.get(from..from + COORDINATE).unwrap_or_default();
            URL_SAFE_NO_PAD.encode(bytes)
        };
        json!({
            "use": "sig",
            "kty": "EC",
            "kid": self.id,
            "crv": "P-256",
            "alg": ALGORITHM,
            "x": coordinate(1),
            "y": coordinate(1 + COORDINATE),
        })
    }
}
