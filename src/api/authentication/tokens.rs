//! Bearer tokens that are known beforehand. Only digests are held and compared, all of them, in
//! constant time: neither memory nor timing tells a token. Must not know where tokens come from.

use super::UserInfo;
use sha2::{Digest, Sha256};

/// A table of bearer tokens.
#[derive(Clone, Default)]
pub struct TokenTable {
    rows: Vec<([u8; 32], UserInfo)>,
}

impl TokenTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a token.
    pub fn insert(&mut self, token: &str, user: UserInfo) {
        self.rows.push((Sha256::digest(token).into(), user));
    }

    /// The user of a token.
    pub fn find(&self, token: &str) -> Option<UserInfo> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for (row, user) in &self.rows {
            let differences = row
                .iter()
                .zip(digest)
                .fold(0u8, |all, (a, b)| all | (a ^ b));
            if std::hint::black_box(differences) == 0 {
                found = Some(user);
            }
        }
        found.cloned()
    }
}

impl std::fmt::Debug for TokenTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenTable({} tokens)", self.rows.len())
    }
}
