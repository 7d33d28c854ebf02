//! Selectors: what is read, what matches, and the words of refusal.

use super::*;
use proptest::prelude::*;

fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
    let selector = Selector::parse(selector).unwrap();
    selector.matches(|key| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v))
}

#[test]
fn string_forms_match_as_kubernetes_does() {
    for (selector, wanted) in [
        ("", true),
        ("x=a", true),
        ("x==a", true),
        ("x!=a", false),
        ("z!=a", true),
        ("x in (a,b)", true),
        ("x notin (a,b)", false),
        ("z notin (a)", true),
        ("x", true),
        ("!x", false),
        ("!z", true),
        ("n>3", true),
        ("n<3", false),
        ("x>3", false),
        ("e=", true),
        ("e", true),
        ("x=a,n>3", true),
        ("x=a,n>5", false),
        (" x = a , n in ( 5 , 6 ) ", true),
        ("e in (,a)", true),
        ("in=in", true),
        ("x in (a,)", true),
    ] {
        let labels = [("x", "a"), ("n", "5"), ("e", ""), ("in", "in")];
        assert_eq!(matches(selector, &labels), wanted, "{selector}");
    }
}

#[test]
fn refusals_are_word_for_word() {
    for (selector, words) in [
        (
            "x=a||y=b",
            "values[0][x]: Invalid value: \"a||y\": a valid label must be an empty string or \
             consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
             alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
             validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
        ("x==a==b", "found '==', expected: ',' or 'end of string'"),
        ("!x=a", "found '=', expected: ',' or 'end of string'"),
        (
            ",x",
            "found ',', expected: !, identifier, or 'end of string'",
        ),
        ("x,", "found '', expected: identifier after ','"),
        ("x a", "found 'a', expected: in, notin, =, ==, !=, gt, lt"),
        ("x in a", "found 'a' expected: '('"),
        ("x in (a", "found '', expected: ',' or ')'"),
        (
            "x in ()",
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
        ),
        (
            "x>a",
            "values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an \
             integer",
        ),
        ("!", "found '', expected: identifier"),
        ("x=!", "found '!', expected: identifier"),
    ] {
        let error = Selector::parse(selector).unwrap_err().to_string();
        let at = error.strip_prefix("unable to parse requirement: ");
        assert_eq!(at.unwrap_or(&error), words, "{selector}");
    }
    let error = Selector::parse("a b/c=1").unwrap_err().to_string();
    assert!(error.starts_with("unable to parse requirement: found 'b/c', expected: in,"));
    let error = Selector::parse("-=1").unwrap_err().to_string();
    assert!(
        error.starts_with("unable to parse requirement: <nil>: Invalid value: \"-\": name part")
    );
}

#[test]
fn label_selector_objects() {
    let labels = json!({"app": "web", "tier": "front"});
    let matches = |selector: Value| {
        Selector::from_label_selector(Some(&selector))
            .unwrap()
            .matches_map(&labels)
    };
    assert!(matches(json!({})));
    assert!(!matches(Value::Null));
    assert!(
        !Selector::from_label_selector(None)
            .unwrap()
            .matches_map(&labels)
    );
    assert!(matches(json!({"matchLabels": {"app": "web"}})));
    assert!(!matches(json!({"matchLabels": {"app": "db"}})));
    let expression = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]});
    assert!(matches(expression("In", json!(["front", "back"]))));
    assert!(!matches(expression("NotIn", json!(["front"]))));
    assert!(matches(expression("Exists", Value::Null)));
    assert!(!matches(expression("DoesNotExist", Value::Null)));
    let wrong = Selector::from_label_selector(Some(&expression("Near", Value::Null)));
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "\"Near\" is not a valid label selector operator"
    );
    let wrong = Selector::from_label_selector(Some(&expression("In", json!([]))));
    assert!(wrong.is_err());
}

#[test]
fn printing_is_sorted_and_reads_back() {
    let selector = Selector::parse("z in (b,a),!y,x!=1,w,v>3").unwrap();
    assert_eq!(selector.to_string(), "v>3,w,x!=1,!y,z in (a,b)");
    assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
}

proptest! {
    #[test]
    fn never_panics_and_prints_what_it_read(text in "[a-z=!(), <>in\\-\\./A]{0,40}|\\PC{0,30}") {
        if let Ok(selector) = Selector::parse(&text) {
            prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
        }
    }
}
