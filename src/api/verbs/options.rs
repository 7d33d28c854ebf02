//! The options of requests, read off their query, with Kubernetes' refusals. Must not know verbs.

use crate::api::context::Context;
use crate::api::registry::Filter;
use crate::api::request_info::{is_true, query_pairs};
use crate::meta::fields::FieldSelector;
use crate::meta::labels::Selector;
use crate::meta::{ApiError, FieldError, Reason};
use crate::resources::ResourceDef;

/// Characters of a field manager's name.
const FIELD_MANAGER_MAX: usize = 128;

/// What to do about fields that the kind does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// Options of a write.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) field_manager: String,
    pub(crate) field_validation: FieldValidation,
    pub(crate) force: Option<bool>,
}

impl WriteOptions {
    /// Of a request; `kind` is the options' own kind, for messages (`CreateOptions`).
    pub(crate) fn of(context: &Context, kind: &str) -> Result<Self, ApiError> {
        let mut options = Self::default();
        let mut errors = Vec::new();
        for (name, value) in query_pairs(&context.query) {
            match name.as_str() {
                "dryRun" => match value.as_str() {
                    "All" => options.dry_run = true,
                    "" => {}
                    other => errors.push(FieldError::not_supported("dryRun", other, &["All"])),
                },
                "fieldManager" => options.field_manager = value,
                "fieldValidation" => match value.as_str() {
                    "" | "Warn" => {}
                    "Ignore" => options.field_validation = FieldValidation::Ignore,
                    "Strict" => options.field_validation = FieldValidation::Strict,
                    other => errors.push(FieldError::not_supported(
                        "fieldValidation",
                        other,
                        &["", "Ignore", "Strict", "Warn"],
                    )),
                },
                "force" => options.force = Some(is_true(&value)),
                _ => {}
            }
        }
        if options.field_manager.chars().count() > FIELD_MANAGER_MAX {
            errors.push(FieldError::new(
                crate::meta::FieldErrorKind::TooLong,
                "fieldManager",
                "",
                format!("may not be more than {FIELD_MANAGER_MAX} bytes"),
            ));
        }
        if options.field_manager.chars().any(char::is_control) {
            let detail = "should only contain printable characters";
            errors.push(FieldError::invalid(
                "fieldManager",
                &*options.field_manager,
                detail,
            ));
        }
        if !errors.is_empty() {
            return Err(ApiError::invalid("meta.k8s.io", kind, "", &errors));
        }
        Ok(options)
    }

    /// The manager's name, or the client's.
    #[allow(dead_code, reason = "field ownership follows")]
    pub(crate) fn manager(&self, context: &Context) -> String {
        if self.field_manager.is_empty() {
            context.default_field_manager()
        } else {
            self.field_manager.clone()
        }
    }
}

/// Which state a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Unset,
    NotOlderThan,
    Exact,
}

/// Options of a list or a watch.
#[derive(Clone, Debug)]
pub(crate) struct ListOptions {
    pub(crate) filter: Filter,
    pub(crate) limit: usize,
    pub(crate) continue_token: String,
    /// As it was sent: empty, `0` or a revision.
    pub(crate) resource_version: String,
    pub(crate) revision: u64,
    pub(crate) resource_version_match: Match,
    pub(crate) allow_bookmarks: bool,
    pub(crate) send_initial_events: Option<bool>,
    pub(crate) timeout_seconds: Option<u64>,
}

impl ListOptions {
    /// Of a request about `def` in `namespace`.
    pub(crate) fn of(
        context: &Context,
        def: &ResourceDef,
        namespace: &str,
    ) -> Result<Self, ApiError> {
        let pairs: Vec<(String, String)> = query_pairs(&context.query).collect();
        let text = |name: &str| {
            let found = pairs.iter().find(|(own, _)| own == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let number = |name: &str| -> Result<Option<u64>, ApiError> {
            match text(name) {
                "" => Ok(None),
                digits => digits.parse::<i64>().map_or_else(
                    |_| {
                        Err(ApiError::bad_request(format!(
                            "strconv.ParseInt: parsing {digits:?}: invalid syntax"
                        )))
                    },
                    |value| Ok(u64::try_from(value).ok()),
                ),
            }
        };
        let unreadable = |why: &dyn std::fmt::Display| ApiError::bad_request(why.to_string());
        let labels = Selector::parse(text("labelSelector"))
            .map_err(|e| ApiError::bad_request(format!("unable to parse requirement: {e}")))?;
        let fields = FieldSelector::parse(text("fieldSelector")).map_err(|e| unreadable(&e))?;
        let filter = Filter::new(def, namespace, labels, &fields).map_err(ApiError::bad_request)?;
        let resource_version = text("resourceVersion").to_owned();
        let revision = match resource_version.as_str() {
            "" => 0,
            digits => digits.parse().map_err(|_| {
                invalid(vec![FieldError::invalid(
                    "resourceVersion",
                    digits,
                    format!("strconv.ParseUint: parsing {digits:?}: invalid syntax"),
                )])
            })?,
        };
        let resource_version_match = match text("resourceVersionMatch") {
            "" => Match::Unset,
            "NotOlderThan" => Match::NotOlderThan,
            "Exact" => Match::Exact,
            other => {
                return Err(invalid(vec![FieldError::not_supported(
                    "resourceVersionMatch",
                    other,
                    &["Exact", "NotOlderThan", ""],
                )]));
            }
        };
        let flag = |name: &str| match text(name) {
            "" => None,
            value => Some(is_true(value)),
        };
        let options = Self {
            filter,
            limit: number("limit")?
                .unwrap_or(0)
                .try_into()
                .unwrap_or(usize::MAX),
            continue_token: text("continue").to_owned(),
            resource_version,
            revision,
            resource_version_match,
            allow_bookmarks: flag("allowWatchBookmarks").unwrap_or(false),
            send_initial_events: flag("sendInitialEvents"),
            timeout_seconds: number("timeoutSeconds")?.filter(|seconds| *seconds > 0),
        };
        options.check(context.info.verb == "watch")?;
        Ok(options)
    }

    fn check(&self, watch: bool) -> Result<(), ApiError> {
        let forbidden =
            |field: &str, why: &str| Err(invalid(vec![FieldError::forbidden(field, why)]));
        let rv_match = self.resource_version_match;
        if watch {
            return match (self.send_initial_events, rv_match) {
                (Some(_), Match::Unset | Match::Exact) => forbidden(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ),
                (None, Match::NotOlderThan | Match::Exact) => forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is \
                     provided",
                ),
                _ => Ok(()),
            };
        }
        if self.send_initial_events.is_some() {
            return forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            );
        }
        if rv_match == Match::Unset {
            return Ok(());
        }
        if self.resource_version.is_empty() {
            return forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            );
        }
        if !self.continue_token.is_empty() {
            return forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            );
        }
        if rv_match == Match::Exact && self.resource_version == "0" {
            return forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            );
        }
        Ok(())
    }
}

fn invalid(errors: Vec<FieldError>) -> ApiError {
    let mut error = ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors);
    error.reason = Reason::Invalid;
    error
}
