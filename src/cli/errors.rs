//! What a verb fails with, worded as kubectl words it: what the server refused, what could not be
//! reached, what the command line got wrong. Must not know verbs.

use crate::client::ClientError;
use crate::meta::{ApiError, Reason};
use serde_json::Value;

/// What a verb fails with: the text for stderr, and the exit code.
#[derive(Debug)]
pub(crate) struct CliError {
    /// The sentence, without a prefix of its own.
    text: String,
    /// Whether `error: ` stands before the sentence when it stands alone.
    plain: bool,
    /// The exit code.
    pub(crate) code: u8,
}

impl std::fmt::Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.plain && !self.text.starts_with("error: ") {
            f.write_str("error: ")?;
        }
        f.write_str(&self.text)
    }
}

impl std::error::Error for CliError {}

impl CliError {
    /// `error: what`, exit code 1.
    pub(crate) fn new(what: impl std::fmt::Display) -> Self {
        Self {
            text: what.to_string(),
            plain: true,
            code: 1,
        }
    }

    /// `what` as it is, exit code 1.
    pub(crate) fn bare(what: impl std::fmt::Display) -> Self {
        Self {
            plain: false,
            ..Self::new(what)
        }
    }

    /// `error: what`, with an exit code of its own.
    pub(crate) fn with_code(what: impl std::fmt::Display, code: u8) -> Self {
        Self {
            code,
            ..Self::new(what)
        }
    }

    /// With another exit code.
    #[must_use]
    pub(crate) fn coded(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// The sentence without `error: `.
    pub(crate) fn sentence(&self) -> &str {
        &self.text
    }

    /// Nothing to say, but the exit code.
    pub(crate) fn silent(code: u8) -> Self {
        Self {
            code,
            ..Self::bare("")
        }
    }

    /// With a line below it.
    #[must_use]
    pub(crate) fn with_line(mut self, line: &str) -> Self {
        self.text = format!("{}\n{line}", self.text.trim_end());
        self
    }

    /// All of them as one; `Ok` if there are none. Kubernetes: several errors stand one a line,
    /// without a prefix; the same one is told once.
    pub(crate) fn all(errors: Vec<Self>) -> Result<(), Self> {
        let mut errors = errors.into_iter();
        let Some(first) = errors.next() else {
            return Ok(());
        };
        let mut lines = vec![first.text.clone()];
        for error in errors {
            if !lines.contains(&error.text) {
                lines.push(error.text);
            }
        }
        if lines.len() == 1 {
            return Err(first);
        }
        Err(Self {
            code: first.code,
            ..Self::bare(lines.join("\n"))
        })
    }

    /// What came of `doing` (`creating`) the object of `place`.
    pub(crate) fn about_place(error: ClientError, doing: &str, place: &str) -> Self {
        let error = Self::from(error);
        Self::new(format!("error when {doing} {place:?}: {}", error.text))
    }
}

impl From<ClientError> for CliError {
    /// As kubectl words what the server refused.
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Api(api) if api.reason == Reason::Invalid => Self::bare(invalid(api)),
            ClientError::Api(api) => Self::bare(match api.reason {
                Reason::Unauthorized => {
                    format!(
                        "error: You must be logged in to the server ({})",
                        api.message
                    )
                }
                Reason::Unknown => format!("Error from server: {}", api.message),
                reason => format!("Error from server ({}): {}", reason.as_str(), api.message),
            }),
            ClientError::Transport(why) => {
                Self::bare(format!("Unable to connect to the server: {why}"))
            }
            ClientError::Refused(address) => Self::bare(format!(
                "The connection to the server {address} was refused - did you specify the right \
                 host or port?"
            )),
            ClientError::Decode(_) | ClientError::Config(_) => Self::new(error),
        }
    }
}

/// Kubernetes: kubectl tells an invalid object by its causes: alone on the line, or one a line.
fn invalid(api: &ApiError) -> String {
    let text = |name: &str| {
        let found = api.details.get(name).and_then(Value::as_str);
        found.unwrap_or_default()
    };
    let causes = api.details.get("causes").and_then(Value::as_array);
    let causes: Vec<String> = causes.into_iter().flatten().map(cause).collect();
    let subject = if !text("kind").is_empty() || !text("name").is_empty() {
        format!("The {} {:?} is invalid", text("kind"), text("name"))
    } else if causes.is_empty() && !api.message.is_empty() {
        format!("The request is invalid: {}", api.message)
    } else {
        "The request is invalid".to_owned()
    };
    match causes.as_slice() {
        [] => subject,
        [only] => format!("{subject}: {only}"),
        several => format!("{subject}: \n* {}", several.join("\n* ")),
    }
}

fn cause(cause: &Value) -> String {
    let text = |name: &str| cause.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{}: {}", text("field"), text("message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::FieldError;

    #[test]
    fn several_errors_stand_one_a_line() {
        let both = CliError::all(vec![CliError::new("a"), CliError::new("b")]);
        assert_eq!(both.unwrap_err().to_string(), "a\nb");
        let one = CliError::all(vec![CliError::new("a"), CliError::new("a")]);
        assert_eq!(one.unwrap_err().to_string(), "error: a");
        assert!(CliError::all(Vec::new()).is_ok());
    }

    #[test]
    fn invalid_objects_are_told_by_their_causes() {
        let errors = [
            FieldError::required("spec.a", ""),
            FieldError::required("spec.b", ""),
        ];
        let shown = |errors: &[FieldError]| {
            let api = ApiError::invalid("", "Pod", "x", errors);
            CliError::from(ClientError::Api(api)).to_string()
        };
        assert_eq!(
            shown(&errors),
            "The Pod \"x\" is invalid: \n* spec.a: Required value\n* spec.b: Required value"
        );
        assert_eq!(
            shown(&errors[..1]),
            "The Pod \"x\" is invalid: spec.a: Required value"
        );
    }
}
