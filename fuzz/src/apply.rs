//! Server-side apply: stories of three managers and one object.

use crate::meta::Object;
use crate::meta::apply::{FieldSet, ManagedFields, Operation, Tracking, apply, to_set, update};
use crate::resources::ResourceDef;
use crate::sample::{self, Manner};
use jiff::Timestamp;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use serde_json::{Map, Value, json};

/// Most steps of a story.
const STEPS_MAX: usize = 6;

/// The laws of apply: twice is once; what is applied by force is there and owned; what is owned can
/// be written and read; what one manager alone no longer applies is gone.
pub fn apply_merge(data: &[u8]) {
    let _ = story(&mut Unstructured::new(data));
}

fn story(u: &mut Unstructured<'_>) -> Result<()> {
    let def = sample::row(u)?;
    let reset = FieldSet::of_fields(&[&["status"]]);
    let mut live: Option<Object> = None;
    let alone = u.arbitrary::<bool>()?;
    for step in 0..u.int_in_range(1..=STEPS_MAX)? {
        let manager = if alone {
            "a"
        } else {
            *u.choose(&["a", "b", "c"])?
        };
        let by = tracking(def, manager, &reset, step);
        let manner = if u.ratio(1, 4)? {
            Manner::Wild
        } else {
            Manner::Right
        };
        let Some(config) = Object::from_value(sample::object(u, def, manner)?) else {
            continue;
        };
        if !alone && u.ratio(1, 3)? {
            let mut new = config;
            new.set(&["metadata", "uid"], json!("u"));
            update(live.as_ref(), &mut new, &by);
            live = Some(new);
        } else {
            let force = alone || u.ratio(1, 2)?;
            let Ok(mut merged) = apply(live.as_ref(), &config, &by, force) else {
                continue;
            };
            merged.set(&["metadata", "uid"], json!("u"));
            // What nobody owns yet (an empty list is nobody's) is taken to be there already.
            if ManagedFields::read(&merged).is_some_and(|managed| !managed.entries.is_empty()) {
                let again = apply(Some(&merged), &config, &by, force).map(full);
                assert_eq!(again.ok(), Some(full(merged.clone())), "twice is once");
            }
            if alone {
                let fresh = apply(None, &config, &by, true).expect("it was right before");
                assert_eq!(owned(&merged, manager), owned(&fresh, manager));
            }
            live = Some(merged);
        }
        if let Some(live) = &live {
            let managed = ManagedFields::read(live).unwrap_or_default();
            for entry in managed.entries {
                let fields = FieldSet::from_fields_v1(&entry.fields.to_fields_v1());
                assert_eq!(
                    fields.as_ref(),
                    Some(&entry.fields),
                    "what is owned reads back"
                );
            }
        }
    }
    Ok(())
}

/// Without what is empty: a map or list that its manager empties goes with what was in it last, as in
/// Kubernetes, and is there again when it is applied again.
fn full(object: Object) -> Value {
    fn without_empty(value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut map: Map<String, Value> = map
                    .into_iter()
                    .map(|(name, value)| (name, without_empty(value)))
                    .collect();
                map.retain(|_, value| *value != json!({}) && *value != json!([]));
                Value::Object(map)
            }
            Value::Array(items) => items.into_iter().map(without_empty).collect(),
            other => other,
        }
    }
    let mut value = object.into_value();
    let managed = value
        .pointer_mut("/metadata/managedFields")
        .map(Value::take);
    json!([without_empty(value), managed])
}

fn tracking<'a>(
    def: &'a ResourceDef,
    manager: &'a str,
    reset: &'a FieldSet,
    step: usize,
) -> Tracking<'a> {
    Tracking {
        manager,
        api_version: "v1",
        subresource: "",
        now: Timestamp::from_second(i64::try_from(step).unwrap_or(0)).unwrap_or_default(),
        schema: Some(def.schema.get().root()),
        reset,
        versions: None,
    }
}

fn owned(object: &Object, manager: &str) -> Option<FieldSet> {
    let managed = ManagedFields::read(object)?;
    let mut entries = managed.entries.into_iter();
    let entry =
        entries.find(|entry| entry.manager == manager && entry.operation == Operation::Apply);
    entry.map(|entry| entry.fields)
}
