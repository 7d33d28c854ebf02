//! Schemas of custom resources: what is pruned, filled in, and told wrong.

use super::*;
use serde_json::json;

fn pruned(schema: Value, object: Value) -> (Value, Vec<String>) {
    let Value::Object(mut fields) = object else {
        panic!("no object")
    };
    let unknown = Structural::of(&schema).prune(&mut fields);
    (Value::Object(fields), unknown)
}

fn errors(schema: Value, value: Value) -> Vec<String> {
    let schema = Structural::of(&schema);
    let errors = validate(&schema, &value, "");
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn unknown_fields_are_taken_out_and_named() {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "known": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object"}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "properties": {"shut": {"type": "object"}}},
        }},
    }});
    let object = json!({
        "apiVersion": "v", "kind": "k", "metadata": {"name": "n"}, "extra": 1,
        "spec": {
            "known": "x", "other": 1,
            "list": [{"a": 1, "b": 2}],
            "map": {"k": {"x": 1}},
            "open": {"any": {"thing": 1}, "shut": {"gone": 1}},
        },
    });
    let (object, unknown) = pruned(schema, object);
    let kept = json!({
        "apiVersion": "v", "kind": "k", "metadata": {"name": "n"},
        "spec": {
            "known": "x", "list": [{"a": 1}], "map": {"k": {}},
            "open": {"any": {"thing": 1}, "shut": {}},
        },
    });
    assert_eq!(object, kept);
    let named = [
        "extra",
        "spec.list[0].b",
        "spec.map.k.x",
        "spec.open.shut.gone",
        "spec.other",
    ];
    assert_eq!(unknown, named);
}

#[test]
fn defaults_fill_what_is_absent_and_nulls_that_may_not_stand() {
    let schema = Structural::of(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "default": {}, "properties": {
            "n": {"type": "integer", "default": 3},
            "may": {"type": "string", "nullable": true, "default": "x"},
            "none": {"type": "string"},
        }},
    }}));
    let filled = |object: Value| {
        let Value::Object(mut fields) = object else {
            panic!("no object")
        };
        schema.drop_nulls(&mut fields);
        schema.fill(&mut fields);
        Value::Object(fields)
    };
    assert_eq!(filled(json!({})), json!({"spec": {"n": 3, "may": "x"}}));
    let nulls = json!({"spec": {"n": null, "may": null, "none": null}});
    assert_eq!(filled(nulls), json!({"spec": {"n": 3, "may": null}}));
}

#[test]
fn wrong_values_are_told_in_kubernetes_words() {
    let schema = json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["need"], "properties": {
            "n": {"type": "integer", "minimum": 1, "maximum": 5},
            "s": {"type": "string", "pattern": "^a+$", "maxLength": 4, "minLength": 2},
            "e": {"type": "string", "enum": ["x", "y"]},
            "l": {"type": "array", "maxItems": 1, "items": {"type": "string"}},
            "p": {"x-kubernetes-int-or-string": true},
            "d": {"type": "string", "format": "date-time"},
            "f": {"type": "number", "multipleOf": 0.5},
            "u": {"type": "array", "uniqueItems": true, "items": {"type": "integer"}},
        }},
    }});
    let told = |spec: Value| errors(schema.clone(), json!({"spec": spec}));
    assert_eq!(errors(schema.clone(), json!({})), ["spec: Required value"]);
    let cases = [
        (json!({}), "spec.need: Required value"),
        (
            json!({"need": 1, "n": "1"}),
            "spec.n: Invalid value: \"string\": spec.n in body must be of type integer: \"string\"",
        ),
        (
            json!({"need": 1, "n": 9}),
            "spec.n: Invalid value: 9: spec.n in body should be less than or equal to 5",
        ),
        (
            json!({"need": 1, "s": "bb"}),
            "spec.s: Invalid value: \"bb\": spec.s in body should match '^a+$'",
        ),
        (
            json!({"need": 1, "s": "aaaaa"}),
            "spec.s: Too long: may not be more than 4 bytes",
        ),
        (
            json!({"need": 1, "s": "a"}),
            "spec.s: Invalid value: \"a\": spec.s in body should be at least 2 chars long",
        ),
        (
            json!({"need": 1, "e": "z"}),
            "spec.e: Unsupported value: \"z\": supported values: \"x\", \"y\"",
        ),
        (
            json!({"need": 1, "l": ["a", "b"]}),
            "spec.l: Too many: 2: must have at most 1 item",
        ),
        (
            json!({"need": 1, "p": true}),
            "spec.p: Invalid value: \"boolean\": spec.p in body must be of type integer,string: \
             \"boolean\"",
        ),
        (
            json!({"need": 1, "d": "soon"}),
            "spec.d: Invalid value: \"soon\": spec.d in body must be of type date-time: \"soon\"",
        ),
        (
            json!({"need": 1, "f": 0.7}),
            "spec.f: Invalid value: 0.7: spec.f in body should be a multiple of 0.5",
        ),
        (
            json!({"need": 1, "u": [1, 1]}),
            "spec.u: Invalid value: \"\": spec.u in body shouldn't contain duplicates",
        ),
        (
            json!({"need": 1, "s": null}),
            "spec.s: Invalid value: \"null\": spec.s in body must be of type string: \"null\"",
        ),
    ];
    for (spec, words) in cases {
        assert_eq!(told(spec.clone()), [words], "{spec}");
    }
    assert_eq!(
        told(json!({"need": 1, "n": 3, "p": "x", "d": "2026-01-02T03:04:05Z"})),
        [""; 0]
    );
}

#[test]
fn alternatives_tell_the_nearest() {
    let schema = json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
    let told = errors(schema.clone(), json!({}));
    let none = "<nil>: Invalid value: \"\": \"\" must validate one and only one schema (oneOf). \
                Found none valid";
    assert_eq!(told, [none, "a: Required value"]);
    let told = errors(schema, json!({"a": "", "b": ""}));
    let both = "<nil>: Invalid value: \"\": \"\" must validate one and only one schema (oneOf). \
                Found 2 valid alternatives";
    assert_eq!(told, [both]);
}

#[test]
fn what_an_update_leaves_alone_is_not_held_against_it() {
    let schema = Structural::of(&json!({"type": "object", "properties": {
        "a": {"type": "string", "maxLength": 1},
        "b": {"type": "string", "maxLength": 1},
        "l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {
                "k": {"type": "string"}, "v": {"type": "string", "maxLength": 1}}}},
    }}));
    let old = json!({"a": "long", "l": [{"k": "1", "v": "long"}]});
    let told = |new: Value| {
        let errors = validate_update(&schema, &new, &old, "");
        errors.iter().map(|e| e.field.clone()).collect::<Vec<_>>()
    };
    let kept = json!({"a": "long", "b": "x", "l": [{"k": "2", "v": "x"}, {"k": "1", "v": "long"}]});
    assert!(told(kept).is_empty());
    let broken = json!({"a": "other", "l": [{"k": "2", "v": "long"}]});
    assert_eq!(told(broken), ["a", "l[0].v"]);
}

#[test]
fn formats_are_those_of_kubernetes() {
    let right = [
        ("ipv4", "1.2.3.4"),
        ("ipv6", "::1"),
        ("cidr", "10.0.0.0/8"),
        ("mac", "00:11:22:33:44:55"),
        ("uuid", "123E4567-e89b-12d3-a456-426614174000"),
        ("email", "A <a@b.c>"),
        ("byte", "aGk="),
        ("hostname", "a.example.com"),
        ("uri", "https://x/y"),
        ("date", "2024-02-29"),
        ("duration", "1h30m"),
        ("duration", "2 days"),
        ("date-time", "2024-02-29T23:59:59.5+01:00"),
        ("isbn", "978-0321751041"),
        ("creditcard", "4111 1111 1111 1111"),
        ("hexcolor", "#fff"),
        ("rgbcolor", "rgb(1, 2,255)"),
        ("ssn", "111-22-3333"),
        ("k8s-short-name", "a-b"),
    ];
    for (format, text) in right {
        assert!(formats::has(format, text), "{format} {text}");
    }
    let wrong = [
        ("ipv4", "1.2.3"),
        ("ipv6", "1.2.3.4"),
        ("cidr", "10.0.0.0/33"),
        ("mac", "00:11"),
        ("uuid", "123"),
        ("email", "a"),
        ("byte", "a"),
        ("hostname", "-a"),
        ("uri", "x"),
        ("date", "2023-02-29"),
        ("duration", "x"),
        ("date-time", "2024-02-29"),
        ("isbn", "1"),
        ("creditcard", "4111 1111 1111 1112"),
        ("hexcolor", "#ff"),
        ("rgbcolor", "rgb(1,2,256)"),
        ("ssn", "1"),
        ("k8s-short-name", "A"),
        ("k8s-long-name", "a..b"),
    ];
    for (format, text) in wrong {
        assert!(!formats::has(format, text), "{format} {text}");
    }
}
