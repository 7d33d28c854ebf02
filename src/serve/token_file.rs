//! The file of bearer tokens that are known beforehand: `token,user,uid,"group,group"` in each line.
//! Must not know what a token is good for.
//! Kubernetes: apiserver `authentication/token/tokenfile`.

use crate::api::{TokenTable, UserInfo};
use std::path::Path;

/// Fields of a line at least: token, user, UID.
const FIELDS_MIN: usize = 3;

/// Why a file of tokens is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenFileError {
    #[error("{file}: {error}")]
    Unreadable { file: String, error: csv::Error },
    #[error(
        "{file}: line {line}: must have at least 3 columns (token, user name, user uid), found {found}"
    )]
    Short {
        file: String,
        line: u64,
        found: usize,
    },
    #[error("{file}: line {line}: a non-empty token is required")]
    Empty { file: String, line: u64 },
}

/// The tokens of `file`; of two lines with the same token the later counts.
pub(super) fn read(file: &Path) -> Result<TokenTable, TokenFileError> {
    let name = || file.display().to_string();
    let unreadable = |error| TokenFileError::Unreadable {
        file: name(),
        error,
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_path(file)
        .map_err(unreadable)?;
    let mut tokens = TokenTable::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() < FIELDS_MIN {
            return Err(TokenFileError::Short {
                file: name(),
                line,
                found: record.len(),
            });
        }
        let field = |index| record.get(index).unwrap_or_default();
        if field(0).is_empty() {
            return Err(TokenFileError::Empty { file: name(), line });
        }
        let groups: Vec<&str> = match field(3) {
            "" => Vec::new(),
            groups => groups.split(',').collect(),
        };
        let mut user = UserInfo::new(field(1), &groups);
        user.uid = field(2).to_owned();
        tokens.insert(field(0), user);
    }
    Ok(tokens)
}
