//! The checks, by a list of pods and what is said of them.

use super::checks::{evaluate, sentence};
use super::policy::Policy;
use super::view;
use crate::meta::Object;
use serde_json::{Value, json};

fn standard(labels: &Value) -> Policy {
    let namespace = json!({"metadata": {"name": "n", "labels": labels}});
    Policy::of(&Object::from_value(namespace).unwrap()).0
}

/// `tests/golden/pod_security.yaml`: a standard, a spec, the sentence (nothing if it passes).
#[test]
fn the_checks_say_what_kubernetes_says() {
    let text = include_str!("../../../../tests/golden/pod_security.yaml");
    let cases: Vec<Value> = serde_yaml::from_str(text).unwrap();
    assert!(cases.len() > 40);
    for case in cases {
        let (level, version) = case["standard"].as_str().unwrap().split_once(':').unwrap();
        let policy = standard(&json!({
            "pod-security.kubernetes.io/enforce": level,
            "pod-security.kubernetes.io/enforce-version": version,
        }));
        let findings = evaluate(policy.enforce, view(case.get("metadata"), case.get("spec")));
        let wanted = case["says"].as_str().unwrap_or_default();
        assert_eq!(sentence(&findings), wanted, "{case}");
    }
}

#[test]
fn labels_are_read_as_kubernetes_reads_them() {
    let of = |labels: Value| {
        let namespace = json!({"metadata": {"name": "n", "labels": labels}});
        let (policy, errors) = Policy::of(&Object::from_value(namespace).unwrap());
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        (policy.enforce.to_string(), policy.warn.to_string(), errors)
    };
    let key = |name: &str| format!("pod-security.kubernetes.io/{name}");
    let (enforce, warn, errors) = of(json!({}));
    assert_eq!(
        (&*enforce, &*warn),
        ("privileged:latest", "privileged:latest")
    );
    assert!(errors.is_empty());
    let (enforce, warn, _) =
        of(json!({key("enforce"): "baseline", key("enforce-version"): "v1.30"}));
    assert_eq!((&*enforce, &*warn), ("baseline:v1.30", "baseline:v1.30"));
    let (_, warn, _) = of(json!({key("enforce"): "baseline", key("warn"): "restricted"}));
    assert_eq!(warn, "restricted:latest");
    let (enforce, warn, errors) = of(json!({key("enforce"): "strict", key("warn-version"): "1.2"}));
    assert_eq!(
        (&*enforce, &*warn),
        ("restricted:latest", "privileged:latest")
    );
    assert_eq!(
        errors,
        [
            "metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be \
             one of privileged, baseline, restricted",
            "metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"1.2\": must be \
             \"latest\" or \"v1.x\""
        ]
    );
}
