//! The values that a field of a built-in type may have, as facts of the API: `facts/enums.txt`, read when
//! a document is first made. Must not know documents.
//! Kubernetes: the marker `+enum` of its types, kube-openapi `generators/enum.go`.

use std::collections::HashMap;
use std::sync::OnceLock;

const TEXT: &str = include_str!("../facts/enums.txt");

/// Where an enumeration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the field itself.
    Field,
    /// At the items of its list, or the values of its map.
    Inside,
}

/// An enumeration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enumeration {
    pub(super) place: Place,
    values: &'static str,
}

impl Enumeration {
    /// The values in order.
    pub(super) fn values(self) -> impl Iterator<Item = &'static str> {
        self.values.split('|')
    }

    /// What is added to the field's description.
    pub(super) fn words(self) -> String {
        let lines = self.values().map(|value| format!("\n - `{value:?}`"));
        format!("\n\nPossible enum values:{}", lines.collect::<String>())
    }
}

type Fields = HashMap<&'static str, Enumeration>;

/// The enumerations of a type by its full name.
pub(super) fn of(type_name: &str) -> Option<&'static Fields> {
    let short = type_name.strip_prefix("io.k8s.")?;
    all().get(short.strip_prefix("api.").unwrap_or(short))
}

pub(super) fn all() -> &'static HashMap<&'static str, Fields> {
    static ALL: OnceLock<HashMap<&str, Fields>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = HashMap::<_, Fields>::new();
        let mut of_type = "";
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            let Some((field, values)) = line.strip_prefix("  ").and_then(|l| l.split_once(' '))
            else {
                of_type = line;
                continue;
            };
            let inside = field.strip_suffix("[]").or(field.strip_suffix("{}"));
            let place = match inside {
                Some(_) => Place::Inside,
                None => Place::Field,
            };
            let fields = all.entry(of_type).or_default();
            fields.insert(inside.unwrap_or(field), Enumeration { place, values });
        }
        all
    })
}
