//! Fields that a server writes although nobody has said them: `facts/zeros.txt`, read when first
//! needed. Must not know what they mean. Kubernetes: the zero values of its Go types.

use crate::meta::Object;
use crate::resources::def::ResourceDef;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::OnceLock;

const TEXT: &str = include_str!("facts/zeros.txt");

/// A field of the objects of an API version.
struct Zero {
    api_version: &'static str,
    path: Vec<&'static str>,
    /// What it is where it is absent.
    value: Value,
}

/// The fields by kind.
fn all() -> &'static HashMap<&'static str, Vec<Zero>> {
    static ALL: OnceLock<HashMap<&str, Vec<Zero>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = HashMap::<_, Vec<Zero>>::new();
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.splitn(4, ' ');
            let mut word = || words.next().unwrap_or_default();
            let (api_version, kind) = (word(), word());
            all.entry(kind).or_default().push(Zero {
                api_version,
                path: word().split('.').collect(),
                value: serde_json::from_str(word()).unwrap_or_default(),
            });
        }
        all
    })
}

/// Writes what is absent.
pub(super) fn fill(def: &ResourceDef, object: &mut Object) {
    let Some(zeros) = all().get(&*def.kind) else {
        return;
    };
    let api_version = def.api_version();
    for zero in zeros.iter().filter(|zero| zero.api_version == api_version) {
        if object.get(&zero.path).is_none() {
            object.set(&zero.path, zero.value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::Scheme;
    use serde_json::json;

    #[test]
    fn every_fact_is_of_a_field_and_fills_it() {
        let scheme = Scheme::builtin();
        for (kind, zero) in all()
            .iter()
            .flat_map(|(kind, zeros)| zeros.iter().map(move |z| (kind, z)))
        {
            let def = scheme.by_api_version(zero.api_version, kind).unwrap();
            let bare = json!({"apiVersion": zero.api_version, "kind": kind});
            let mut object = Object::from_value(bare).unwrap();
            def.default(&mut object);
            assert_eq!(
                object.get(&zero.path),
                Some(&zero.value),
                "{kind} {:?}",
                zero.path
            );
            let decoded = def.decode(object.clone().into_value()).unwrap();
            assert_eq!(decoded.unknown_fields, Vec::<String>::new());
            assert_eq!(decoded.object, object);
        }
    }
}
