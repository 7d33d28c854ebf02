//! PriorityLevelConfiguration: how many requests of a kind are served at once.
//! Kubernetes: `pkg/apis/flowcontrol/{v1,validation}`.

use super::flow_schema::fixed;
use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set_null, set_zero};
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    (
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "PriorityLevelConfiguration",
    ),
    "PriorityLevelConfigurationList",
    ("prioritylevelconfigurations", "prioritylevelconfiguration"),
    SchemaSource::of::<k8s_openapi::api::flowcontrol::v1::PriorityLevelConfiguration>(),
    &PriorityLevelStrategy,
)
.cluster_scoped()
.subresources(const { &[Subresource::new("status", "PriorityLevelConfiguration", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Type", "Whether there is a limit."),
            Column::new("NominalConcurrencyShares", "The share of requests at once."),
            Column::new("Queues", "Queues of requests that wait."),
            Column::new("HandSize", "Queues that a flow may be put into."),
            Column::new("QueueLengthLimit", "Requests that wait in a queue."),
            columns::age_column(),
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"type":"Limited","limited":{"limitResponse":{"type":"Reject"}}}}"#,
);

/// Most queues.
const QUEUES_MAX: i64 = 10_000_000;
/// Bits of a hash that a flow is put into queues by.
const HASH_BITS: i64 = 60;
/// Levels that are always what they are.
const FIXED: &[(&str, &str)] = &[(
    "catch-all",
    r#"{"type":"Limited","limited":{"nominalConcurrencyShares":5,"limitResponse":{"type":"Reject"},"lendablePercent":0}}"#,
)];

/// What a PriorityLevelConfiguration does beyond its shape.
pub struct PriorityLevelStrategy;

impl Strategy for PriorityLevelStrategy {
    fn default(&self, level: &mut Object) {
        let Some(spec) = child(level.fields_mut(), "spec") else {
            return;
        };
        if let Some(Value::Object(exempt)) = spec.get_mut("exempt") {
            set_null(exempt, "nominalConcurrencyShares", json!(0));
            set_null(exempt, "lendablePercent", json!(0));
        }
        if let Some(Value::Object(limited)) = spec.get_mut("limited") {
            set_null(limited, "nominalConcurrencyShares", json!(30));
            set_null(limited, "lendablePercent", json!(0));
            let response = limited.get_mut("limitResponse");
            let queuing = response.and_then(|response| response.get_mut("queuing"));
            if let Some(Value::Object(queuing)) = queuing {
                set_zero(queuing, "queues", json!(64));
                set_zero(queuing, "handSize", json!(8));
                set_zero(queuing, "queueLengthLimit", json!(50));
            }
        }
    }

    fn prepare_for_create(&self, level: &mut Object) {
        level.set(&["status"], json!({}));
    }

    fn validate(&self, level: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(level, "spec");
        self::spec(level.name(), &spec, &mut errors);
        fixed(FIXED, level.name(), &spec, &mut errors);
        super::conditions(&At::of(level, "status"), &mut errors);
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, _old: &Object) -> Vec<FieldError> {
        if part == Part::Main {
            return self.validate(new);
        }
        let mut errors = Errors::new();
        super::conditions(&At::of(new, "status"), &mut errors);
        errors.0
    }

    fn has_status(&self) -> bool {
        true
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

fn spec(name: &str, spec: &At<'_, '_>, errors: &mut Errors) {
    let (kind, limited, exempt) = (
        spec.field("type"),
        spec.field("limited"),
        spec.field("exempt"),
    );
    if (name == "exempt") != (kind.str() == "Exempt") {
        let detail = "type must be 'Exempt' if and only if name is 'exempt'";
        errors.invalid_as(&kind, kind.str(), detail);
    }
    match kind.str() {
        "Exempt" => {
            if limited.is_set() {
                errors.forbidden(&limited, "must be nil if the type is not Limited");
            }
            shares(&exempt, errors);
        }
        "Limited" => {
            if exempt.is_set() {
                errors.forbidden(&exempt, "must be nil if the type is Limited");
            }
            if limited.is_set() {
                self::limited(&limited, errors);
            } else {
                errors.required(&limited, "must not be empty when type is Limited");
            }
        }
        _ => errors.not_supported(&kind, &["Exempt", "Limited"]),
    }
}

fn shares(at: &At<'_, '_>, errors: &mut Errors) {
    let (shares, lent) = (
        at.field("nominalConcurrencyShares"),
        at.field("lendablePercent"),
    );
    if shares.number() < 0 {
        errors.invalid(&shares, "must be a non-negative integer");
    }
    if !(0..=100).contains(&lent.number()) {
        errors.invalid(&lent, "must be between 0 and 100, inclusive");
    }
}

fn limited(at: &At<'_, '_>, errors: &mut Errors) {
    shares(at, errors);
    let borrowed = at.field("borrowingLimitPercent");
    if borrowed.number() < 0 {
        let detail = "if specified, must be a non-negative integer";
        errors.invalid(&borrowed, detail);
    }
    let response = at.field("limitResponse");
    let (kind, queuing) = (response.field("type"), response.field("queuing"));
    match (kind.str(), queuing.is_set()) {
        ("Reject", true) => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            errors.forbidden(&queuing, detail);
        }
        ("Queue", false) => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            errors.required(&queuing, detail);
        }
        ("Queue", true) => queues(&queuing, errors),
        ("Reject", false) => {}
        _ => errors.not_supported(&kind, &["Queue", "Reject"]),
    }
}

fn queues(at: &At<'_, '_>, errors: &mut Errors) {
    let (limit, queues, hand) = (
        at.field("queueLengthLimit"),
        at.field("queues"),
        at.field("handSize"),
    );
    if limit.number() <= 0 {
        errors.invalid(&limit, "must be positive");
    }
    if queues.number() <= 0 {
        errors.invalid(&queues, "must be positive");
    } else if queues.number() > QUEUES_MAX {
        let detail = format!("must not be greater than {QUEUES_MAX}");
        errors.invalid(&queues, detail);
    }
    let (deck, cards) = (queues.number(), hand.number());
    if cards <= 0 {
        errors.invalid(&hand, "must be positive");
    } else if cards > deck {
        let detail = format!("should not be greater than queues ({deck})");
        errors.invalid(&hand, detail);
    } else if entropy_bits(deck, cards) > HASH_BITS {
        let detail = format!(
            "required entropy bits of deckSize {deck} and handSize {cards} should not be greater \
             than {HASH_BITS}"
        );
        errors.invalid(&hand, detail);
    }
}

/// Bits that tell all hands of so many cards apart.
fn entropy_bits(deck: i64, cards: i64) -> i64 {
    // Below a number of bits that is too many anyway.
    let cards = cards.min(HASH_BITS * 2);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a few bits of a logarithm"
    )]
    let bits = (0..cards)
        .map(|card| ((deck - card).max(1) as f64).log2())
        .sum::<f64>()
        .ceil() as i64;
    bits
}

fn row(level: &Object, now: Timestamp) -> Vec<Value> {
    let spec = At::of(level, "spec");
    let (limited, exempt) = (spec.field("limited"), spec.field("exempt"));
    let of = if exempt.is_set() { &exempt } else { &limited };
    let response = limited.field("limitResponse");
    let queuing = response.field("queuing");
    let cell = |at: &At<'_, '_>, field: &str| match at.field(field).int() {
        Some(number) => json!(number),
        None => json!("<none>"),
    };
    vec![
        json!(level.name()),
        json!(spec.field("type").str()),
        cell(of, "nominalConcurrencyShares"),
        cell(&queuing, "queues"),
        cell(&queuing, "handSize"),
        cell(&queuing, "queueLengthLimit"),
        columns::age(level, now),
    ]
}
