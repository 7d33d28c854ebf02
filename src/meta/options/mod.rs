//! The options of requests: what may follow the `?`, and the body of a delete. Parsed from query
//! pairs that are already percent-decoded. Must not know how a request is carried out.
//! Kubernetes: `apis/meta/v1` options, their conversion from queries, `apis/meta/v1/validation`.

use crate::meta::{
    ApiError, FieldError, FieldErrorKind, FieldSelector, Reason, Selector, list::Continue,
};
use serde_json::{Value, json};

mod delete;

pub use delete::{DeleteOptions, Preconditions, Propagation};

/// Longest field manager name (bytes).
pub const FIELD_MANAGER_MAX_BYTES: usize = 128;

/// Query pairs in the order of the URL.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    pairs: &'a [(String, String)],
}

impl<'a> Query<'a> {
    /// Wraps pairs.
    pub fn new(pairs: &'a [(String, String)]) -> Self {
        Self { pairs }
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// All values of `name`.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let found: Vec<&str> = self
            .pairs
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .collect();
        found.into_iter()
    }

    /// Absent, `false` and `0` are false, all else is true.
    pub fn bool(&self, name: &str) -> Option<bool> {
        self.get(name)
            .map(|v| !(v.eq_ignore_ascii_case("false") || v == "0"))
    }

    /// A whole number; what is none is a bad request. Empty counts as absent.
    pub fn int(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name).filter(|v| !v.is_empty()) else {
            return Ok(None);
        };
        let wrong = |e: std::num::ParseIntError| {
            let why = match e.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                    "value out of range"
                }
                _ => "invalid syntax",
            };
            ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
        };
        text.parse().map(Some).map_err(wrong)
    }

    fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }
}

/// How a list's `resourceVersion` is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionMatch {
    /// At least as new.
    NotOlderThan,
    /// At that revision.
    Exact,
}

/// Options of list, watch and deletecollection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOptions {
    /// Which labels.
    pub labels: Selector,
    /// Which fields.
    pub fields: FieldSelector,
    /// Whether to watch.
    pub watch: bool,
    /// Whether the watcher understands bookmarks.
    pub bookmarks: bool,
    /// A revision: `None` where none is given (the newest), `Some(0)` for any.
    pub resource_version: Option<u64>,
    /// How the revision is meant, if said.
    pub version_match: Option<VersionMatch>,
    /// How long to serve a watch or wait for a list (seconds), if said.
    pub timeout_seconds: Option<u64>,
    /// Most items to answer with; 0 for all.
    pub limit: u64,
    /// Where to go on.
    pub continue_from: Option<Continue>,
    /// Whether a watch begins with the objects there are.
    pub send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads and checks.
    pub fn parse(query: Query<'_>) -> Result<Self, ApiError> {
        let selector = |e: crate::meta::labels::SelectorError| ApiError::bad_request(e.to_string());
        let mut raw = RawList {
            watch: query.bool("watch").unwrap_or(false),
            version: query.text("resourceVersion"),
            version_match: query.text("resourceVersionMatch"),
            token: query.text("continue"),
            initial: query.bool("sendInitialEvents"),
        };
        raw.set_defaults();
        let options = Self {
            labels: Selector::parse(&query.text("labelSelector")).map_err(selector)?,
            fields: FieldSelector::parse(&query.text("fieldSelector")).map_err(selector)?,
            watch: raw.watch,
            bookmarks: query.bool("allowWatchBookmarks").unwrap_or(false),
            resource_version: None,
            version_match: match raw.version_match.as_str() {
                "NotOlderThan" => Some(VersionMatch::NotOlderThan),
                "Exact" => Some(VersionMatch::Exact),
                _ => None,
            },
            timeout_seconds: query
                .int("timeoutSeconds")?
                .and_then(|n| u64::try_from(n).ok()),
            limit: query
                .int("limit")?
                .and_then(|n| u64::try_from(n).ok())
                .unwrap_or(0),
            continue_from: None,
            send_initial_events: raw.initial,
        };
        let errors = if raw.watch {
            raw.check_watch()
        } else {
            raw.check_list()
        };
        invalid("ListOptions", &errors)?;
        let resource_version = parse_resource_version(&raw.version).map_err(|error| {
            ApiError::bad_request(format!("invalid resource version: {}", error.message))
        })?;
        let continue_from = match raw.token.as_str() {
            "" => None,
            _ if raw.watch => None,
            token => Some(Continue::decode(token).map_err(|error| {
                ApiError::bad_request(format!("invalid continue token: {}", error.message))
            })?),
        };
        if continue_from.is_some() && resource_version.is_some_and(|rv| rv > 0) {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        Ok(Self {
            resource_version,
            continue_from,
            ..options
        })
    }
}

struct RawList {
    watch: bool,
    version: String,
    version_match: String,
    token: String,
    initial: Option<bool>,
}

impl RawList {
    /// A watch from nowhere, as old clients ask for it, begins with the objects there are.
    /// Kubernetes: `SetListOptionsDefaults`.
    fn set_defaults(&mut self) {
        let said = self.initial.is_some() || !self.version_match.is_empty();
        if self.watch && !said && matches!(self.version.as_str(), "" | "0") {
            self.initial = Some(true);
            "NotOlderThan".clone_into(&mut self.version_match);
        }
    }

    fn check_list(&self) -> Vec<FieldError> {
        const FIELD: &str = "resourceVersionMatch";
        let mut errors = Vec::new();
        let mut forbid = |field: &str, detail: &str| {
            errors.push(FieldError::forbidden(field, detail));
        };
        let matching = self.version_match.as_str();
        if !matching.is_empty() {
            if self.version.is_empty() {
                forbid(
                    FIELD,
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                );
            }
            if !self.token.is_empty() {
                forbid(
                    FIELD,
                    "resourceVersionMatch is forbidden when continue is provided",
                );
            }
            if matching == "Exact" && self.version == "0" {
                forbid(
                    FIELD,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                );
            }
        }
        if !matches!(matching, "" | "Exact" | "NotOlderThan") {
            let supported = ["Exact", "NotOlderThan", ""];
            errors.push(FieldError::not_supported(FIELD, matching, &supported));
        }
        if self.initial.is_some() {
            errors.push(FieldError::forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            ));
        }
        errors
    }

    fn check_watch(&self) -> Vec<FieldError> {
        const FIELD: &str = "resourceVersionMatch";
        let mut errors = Vec::new();
        let matching = self.version_match.as_str();
        if self.initial.is_some() && matching != "NotOlderThan" {
            errors.push(FieldError::forbidden(
                FIELD,
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        if matching.is_empty() {
            return errors;
        }
        if self.initial.is_none() {
            errors.push(FieldError::forbidden(
                FIELD,
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        if matching != "NotOlderThan" {
            errors.push(FieldError::not_supported(
                FIELD,
                matching,
                &["NotOlderThan"],
            ));
        }
        if !self.token.is_empty() {
            errors.push(FieldError::forbidden(
                FIELD,
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        errors
    }
}

/// Reads a `resourceVersion`: empty is `None`; what is no number is a bad request.
pub fn parse_resource_version(text: &str) -> Result<Option<u64>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(version) if digits => Ok(Some(version)),
        _ => Err(ApiError::bad_request(format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: \
             {}",
            if digits {
                "value out of range"
            } else {
                "invalid syntax"
            }
        ))),
    }
}

/// What to do with fields that a schema does not know, and with duplicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and send a warning.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

/// Options of create, update and patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Whether nothing is to be stored.
    pub dry_run: bool,
    /// Who manages the fields, as given; see `field_manager`.
    pub manager: String,
    /// What happens to unknown fields.
    pub field_validation: FieldValidation,
    /// Patches only: take fields from other managers.
    pub force: bool,
}

/// Options of a create.
pub type CreateOptions = WriteOptions;
/// Options of an update.
pub type UpdateOptions = WriteOptions;
/// Options of a patch.
pub type PatchOptions = WriteOptions;

/// Options of a get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetOptions {
    /// A revision: `None` for the newest, `Some(0)` for any.
    pub resource_version: Option<u64>,
}

impl GetOptions {
    /// Reads and checks.
    pub fn parse(query: Query<'_>) -> Result<Self, ApiError> {
        if query.bool("export") == Some(true) {
            return Err(ApiError::bad_request(
                "the export parameter, deprecated since v1.14, is no longer supported",
            ));
        }
        // A plain error of Kubernetes' storage: 500 without a reason.
        let resource_version = parse_resource_version(&query.text("resourceVersion"))
            .map_err(|error| ApiError::new(Reason::Unknown, error.message))?;
        Ok(Self { resource_version })
    }
}

impl WriteOptions {
    /// Reads the options of a create and checks them.
    pub fn parse_create(query: Query<'_>) -> Result<Self, ApiError> {
        Self::parse("CreateOptions", query, Vec::new())
    }

    /// Reads the options of an update and checks them.
    pub fn parse_update(query: Query<'_>) -> Result<Self, ApiError> {
        Self::parse("UpdateOptions", query, Vec::new())
    }

    /// Reads the options of a patch and checks them; `apply` for an apply patch.
    pub fn parse_patch(query: Query<'_>, apply: bool) -> Result<Self, ApiError> {
        let mut errors = Vec::new();
        if apply && query.text("fieldManager").is_empty() {
            let detail = "is required for apply patch";
            errors.push(FieldError::required("fieldManager", detail));
        }
        if !apply && query.get("force").is_some() {
            let detail = "may not be specified for non-apply patch";
            errors.push(FieldError::forbidden("force", detail));
        }
        Self::parse("PatchOptions", query, errors)
    }

    fn parse(kind: &str, query: Query<'_>, mut errors: Vec<FieldError>) -> Result<Self, ApiError> {
        let manager = query.text("fieldManager");
        errors.extend(check_field_manager(&manager));
        let dry_run: Vec<&str> = query.all("dryRun").collect();
        errors.extend(check_dry_run(&dry_run));
        let validation = query.text("fieldValidation");
        let field_validation = match validation.as_str() {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                errors.push(FieldError::not_supported(
                    "fieldValidation",
                    other,
                    &supported,
                ));
                FieldValidation::Warn
            }
        };
        invalid(kind, &errors)?;
        Ok(Self {
            dry_run: !dry_run.is_empty(),
            manager,
            field_validation,
            force: query.bool("force").unwrap_or(false),
        })
    }

    /// The manager that owns what this request writes: as given, else the first word of the
    /// client's `User-Agent`. Kubernetes: `managerOrUserAgent`.
    pub fn field_manager(&self, user_agent: &str) -> String {
        if !self.manager.is_empty() {
            return self.manager.clone();
        }
        let first = user_agent.split('/').next().unwrap_or_default();
        let mut kept = String::new();
        for c in first.chars().filter(|c| is_print(*c)) {
            if kept.len() + c.len_utf8() > FIELD_MANAGER_MAX_BYTES {
                break;
            }
            kept.push(c);
        }
        kept
    }
}

/// `Kind.meta.k8s.io "" is invalid: ...` unless there is no error.
fn invalid(kind: &str, errors: &[FieldError]) -> Result<(), ApiError> {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid("meta.k8s.io", kind, "", errors))
    }
}

fn check_dry_run(values: &[&str]) -> Option<FieldError> {
    let wrong = values.iter().any(|v| *v != "All");
    wrong.then(|| {
        FieldError::new(
            FieldErrorKind::NotSupported,
            "dryRun",
            json!(values),
            "supported values: \"All\"",
        )
    })
}

fn check_field_manager(manager: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if manager.len() > FIELD_MANAGER_MAX_BYTES {
        errors.push(FieldError::new(
            FieldErrorKind::TooLong,
            "fieldManager",
            Value::Null,
            format!("may not be more than {FIELD_MANAGER_MAX_BYTES} bytes"),
        ));
    }
    for (at, c) in manager.char_indices().filter(|(_, c)| !is_print(*c)) {
        errors.push(FieldError::invalid(
            "fieldManager",
            manager,
            format!(
                "invalid character U+{:04X} (at position {at})",
                u32::from(c)
            ),
        ));
    }
    errors
}

/// Go's `unicode.IsPrint`, near enough: what is neither control nor space, and the ASCII space.
fn is_print(c: char) -> bool {
    c == ' ' || !(c.is_control() || c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}'))
}

#[cfg(test)]
mod tests;
