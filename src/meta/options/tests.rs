//! Options: what is read, and the words of refusal.

use super::*;
use proptest::prelude::*;

fn pairs(query: &str) -> Vec<(String, String)> {
    let pair = |p: &str| {
        let (name, value) = p.split_once('=').unwrap_or((p, ""));
        (name.to_owned(), value.to_owned())
    };
    query
        .split('&')
        .filter(|p| !p.is_empty())
        .map(pair)
        .collect()
}

fn list(query: &str) -> Result<ListOptions, ApiError> {
    ListOptions::parse(Query::new(&pairs(query)))
}

#[test]
fn list_options_are_read() {
    let options = list(
        "watch=1&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=30&limit=5\
         &labelSelector=a&fieldSelector=metadata.name!=x&sendInitialEvents=true\
         &resourceVersionMatch=NotOlderThan",
    )
    .unwrap();
    assert!(options.watch && options.bookmarks);
    assert_eq!(options.resource_version, Some(7));
    assert_eq!((options.timeout_seconds, options.limit), (Some(30), 5));
    assert_eq!(options.version_match, Some(VersionMatch::NotOlderThan));
    assert_eq!(options.send_initial_events, Some(true));
    let plain = list("watch=false").unwrap();
    assert_eq!(plain, ListOptions::default());
    let token = Continue::new(9, "default/x").encode();
    let page = list(&format!("limit=1&continue={token}")).unwrap();
    assert_eq!(page.continue_from, Some(Continue::new(9, "default/x")));
}

#[test]
fn list_options_are_refused_in_kubernetes_words() {
    let message = |query: &str| list(query).unwrap_err().message;
    assert_eq!(
        message("resourceVersionMatch=Exact"),
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
         resourceVersionMatch is forbidden unless resourceVersion is provided"
    );
    assert_eq!(
        message("resourceVersionMatch=X&resourceVersion=1"),
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Unsupported value: \"X\": \
         supported values: \"Exact\", \"NotOlderThan\", \"\""
    );
    assert_eq!(
        message("watch=1&resourceVersionMatch=NotOlderThan"),
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
         resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
    );
    assert_eq!(
        message("limit=x"),
        "strconv.ParseInt: parsing \"x\": invalid syntax"
    );
    assert!(message("resourceVersion=+1").contains("invalid syntax"));
    assert!(
        message("continue=!!!").starts_with("invalid continue token: continue key is not valid")
    );
    assert!(message("labelSelector=a b").starts_with("unable to parse requirement"));
    assert_eq!(list("resourceVersionMatch=Exact").unwrap_err().code, 422);
}

#[test]
fn write_options() {
    let create = |query: &str| WriteOptions::parse_create(Query::new(&pairs(query)));
    let read = create("dryRun=All&fieldManager=me&fieldValidation=Strict").unwrap();
    assert!(read.dry_run);
    assert_eq!(read.field_validation, FieldValidation::Strict);
    assert_eq!(read.field_manager("kubectl/v1"), "me");
    assert_eq!(
        create("").unwrap().field_manager("kubectl/v1.32 (linux)"),
        "kubectl"
    );
    assert_eq!(
        create("dryRun=None").unwrap_err().message,
        "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"None\"]: \
         supported values: \"All\""
    );
    assert_eq!(
        create("fieldValidation=x").unwrap_err().message,
        "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"x\": \
         supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
    );
    let long = create(&format!("fieldManager={}", "x".repeat(129)));
    assert!(
        long.unwrap_err()
            .message
            .ends_with("fieldManager: Too long: may not be more than 128 bytes")
    );
    let control = create("fieldManager=a\u{7}").unwrap_err().message;
    assert!(control.ends_with("invalid character U+0007 (at position 1)"));
    let patch = |query: &str, apply| WriteOptions::parse_patch(Query::new(&pairs(query)), apply);
    assert!(patch("force=true&fieldManager=x", true).unwrap().force);
    assert_eq!(
        patch("", true).unwrap_err().message,
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for \
         apply patch"
    );
    assert_eq!(
        patch("force=true", false).unwrap_err().message,
        "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for \
         non-apply patch"
    );
}

#[test]
fn delete_options() {
    let body = json!({
        "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 5,
        "propagationPolicy": "Foreground", "preconditions": {"uid": "u", "resourceVersion": "3"},
        "dryRun": ["All"],
    });
    let read = DeleteOptions::parse_body(&body).unwrap();
    assert_eq!(read.grace_period_seconds, Some(5));
    assert_eq!(read.propagation, Some(Propagation::Foreground));
    assert_eq!(read.preconditions.uid.as_deref(), Some("u"));
    assert_eq!(read.preconditions.resource_version.as_deref(), Some("3"));
    assert!(read.dry_run);
    let query = pairs("gracePeriodSeconds=0&orphanDependents=true");
    let read = DeleteOptions::parse_query(Query::new(&query)).unwrap();
    assert_eq!(read.grace_period_seconds, Some(0));
    assert_eq!(read.propagation, Some(Propagation::Orphan));
    let both = json!({"orphanDependents": true, "propagationPolicy": "Orphan"});
    assert_eq!(
        DeleteOptions::parse_body(&both).unwrap_err().message,
        "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": \
         orphanDependents and deletionPropagation cannot be both set"
    );
    for wrong in [json!({"kind": "Pod"}), json!([]), json!({"dryRun": "All"})] {
        assert_eq!(DeleteOptions::parse_body(&wrong).unwrap_err().code, 400);
    }
}

proptest! {
    #[test]
    fn never_panics(query in "((watch|limit|continue|resourceVersion|resourceVersionMatch|labelSelector|dryRun|force)=\\PC{0,12}&){0,4}") {
        let pairs = pairs(&query);
        let query = Query::new(&pairs);
        let _ = ListOptions::parse(query);
        let _ = WriteOptions::parse_patch(query, true);
        let _ = DeleteOptions::parse_query(query);
    }
}
