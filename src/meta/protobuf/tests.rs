//! The form, by a table of its own; the table of the kinds is tested where it stands.

use super::*;
use serde_json::json;

const TABLE: &str = "\
# a comment
@ v1 core.v1
* Options
core.v1.Thing
 1 name string!
 2 size int32?
 3 port int32
 4 on bool
 5 tags []string
 6 counts {}int64
 7 data {}bytes
 8 part Part
 9 maybe Part?
 10 parts []Part
 11 . Inner
 12 at core.v1.Time
 13 when MicroTime?
 14 target IntOrString
 15 amounts {}Quantity
 16 raw Raw
 17 rate double?
 18 numbers []int32
 19 items PropsOrList?
 20 more PropsOrBool?
 21 needs PropsOrTexts?
core.v1.Part
 1 name string
 2 part Part?
core.v1.Inner
 1 hidden string
core.v1.Time = time
core.v1.MicroTime = micro-time
core.v1.IntOrString = int-or-string
core.v1.Quantity = text
core.v1.Raw = raw
core.v1.PropsOrList = list-or Part
core.v1.PropsOrBool = bool-or Part
core.v1.PropsOrTexts = texts-or Part
";

fn round(value: &Value) -> Value {
    let table = Table::parse(TABLE);
    let bytes = table.encode(value).unwrap();
    table.decode(&bytes).unwrap()
}

fn thing(fields: Value) -> Value {
    let mut thing = json!({"apiVersion": "v1", "kind": "Thing"});
    let map = thing.as_object_mut().unwrap();
    map.extend(fields.as_object().unwrap().clone());
    thing
}

#[test]
fn values_come_back() {
    let long = "x".repeat(20_000);
    for fields in [
        json!({}),
        json!({"name": long, "size": -7, "port": 80, "on": true, "tags": ["a", ""]}),
        json!({"counts": {"a": -1, "": 9_007_199_254_740_993_i64}, "data": {"k": "AAH/"}}),
        json!({"part": {"name": "n", "part": {"part": {}}}, "maybe": {}, "parts": [{}, {"name": long}]}),
        json!({"hidden": "below", "name": ""}),
        json!({"at": "1969-12-31T23:59:58Z", "when": "1969-12-31T23:59:58.000001Z"}),
        json!({"at": "2024-02-29T23:59:59Z", "when": "2024-02-29T23:59:59.123456Z"}),
        json!({"at": "1970-01-01T00:00:00Z", "when": "1970-01-01T00:00:00.000000Z"}),
        json!({"target": "http", "amounts": {"cpu": "100m"}, "raw": {"any": [1, {"x": null}]}}),
        json!({"target": 8080, "rate": 0.5, "numbers": [1, 0, -1]}),
        json!({"target": 0, "rate": 10}),
        json!({"raw": {"apiVersion": "v1", "kind": "Thing", "name": "n"}}),
        json!({"items": {"name": "a"}, "more": {"name": "b"}, "needs": {"name": "c"}}),
        json!({"items": [{"name": "a"}, {}], "more": false, "needs": ["x", "y"]}),
        json!({"more": true}),
    ] {
        let wanted = thing(fields);
        assert_eq!(round(&wanted), wanted);
    }
}

#[test]
fn zero_is_absent_where_it_means_nothing() {
    let sent = json!({"name": "", "size": 0, "port": 0, "on": false, "part": {}, "at": null});
    let wanted = json!({"name": "", "size": 0, "part": {}});
    assert_eq!(round(&thing(sent)), thing(wanted));
}

#[test]
fn the_envelope_is_kubernetes() {
    let table = Table::parse(TABLE);
    let bytes = table.encode(&thing(json!({"name": "a"}))).unwrap();
    let mut wanted = b"k8s\0\x0a\x0b\x0a\x02v1\x12\x05Thing\x12\x05\x0a\x01a\x5a\0".to_vec();
    assert_eq!(bytes, wanted);
    // What senders add to it, and what they do not know: content type, field 99.
    wanted.extend_from_slice(b"\x1a\0\x22\0\x9a\x06\x01x\x98\x06\x05\x9d\x06abcd");
    assert_eq!(table.decode(&wanted).unwrap(), thing(json!({"name": "a"})));
    let frame = watch_frame("ADDED", b"body");
    assert_eq!(frame, b"\0\0\0\x0f\x0a\x05ADDED\x12\x06\x0a\x04body");
}

#[test]
fn pieces_of_a_message_are_one_and_numbers_may_be_packed() {
    let table = Table::parse(TABLE);
    let head = b"k8s\0\x0a\x0b\x0a\x02v1\x12\x05Thing\x12\x0e".to_vec();
    let mut bytes = head;
    bytes.extend_from_slice(b"\x42\x03\x0a\x01a\x42\x02\x12\0\x92\x01\x02\x01\x02");
    assert_eq!(
        table.decode(&bytes).unwrap(),
        thing(json!({"part": {"name": "a", "part": {}}, "numbers": [1, 2]}))
    );
}

#[test]
fn rubbish_is_refused_with_a_word() {
    let table = Table::parse(TABLE);
    let thing = |inner: &[u8]| {
        let mut bytes = b"k8s\0\x0a\x0b\x0a\x02v1\x12\x05Thing\x12".to_vec();
        encode_varint(inner.len() as u64, &mut bytes);
        bytes.extend_from_slice(inner);
        bytes
    };
    let mut deep = Vec::new();
    for _ in 0..400 {
        let mut outer = b"\x12".to_vec();
        encode_varint(deep.len() as u64, &mut outer);
        outer.extend_from_slice(&deep);
        deep = outer;
    }
    let mut deep_part = b"\x42".to_vec();
    encode_varint(deep.len() as u64, &mut deep_part);
    deep_part.extend_from_slice(&deep);
    for (bytes, wanted) in [
        (Vec::new(), "empty data"),
        (b"{}".to_vec(), "expected prefix [107 56 115 0]"),
        (b"k8s\0".to_vec(), "Object 'Kind' is missing"),
        (
            b"k8s\0\x0a\x0b\x0a\x02v1\x12\x05Thong".to_vec(),
            "no kind \"Thong\" is registered for version \"v1\"",
        ),
        (thing(b"\x0a\x05ab"), "unexpected EOF"),
        (thing(b"\x0a"), "proto: "),
        (thing(b"\x0a\x02\xff\xfe"), "invalid UTF-8"),
        (thing(b"\x08\x01"), "wrong wireType = 0 for field name"),
        (
            thing(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            "proto: ",
        ),
        (thing(&deep_part), "max depth"),
        (thing(b"\x82\x01\x03\x0a\x01{"), "invalid UTF-8 or JSON"),
    ] {
        let error = table.decode(&bytes).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}: {wanted}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_bring_it_down(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let table = Table::parse(TABLE);
        let mut body = b"k8s\0\x0a\x0b\x0a\x02v1\x12\x05Thing\x12".to_vec();
        encode_varint(bytes.len() as u64, &mut body);
        body.extend_from_slice(&bytes);
        if let Ok(value) = table.decode(&body) {
            let again = table.decode(&table.encode(&value).unwrap()).unwrap();
            proptest::prop_assert_eq!(again, value);
        }
    }
}
