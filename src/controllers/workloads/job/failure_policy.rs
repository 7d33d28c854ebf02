//! What a failed pod means for its Job, by the rules of its `podFailurePolicy`. Pure.
//! Kubernetes: `pkg/controller/job/pod_failure_policy.go`.

use crate::controllers::job_facts::JobFacts;
use crate::controllers::members::Member;
use crate::controllers::workloads::conditions::text;
use crate::meta::Object;
use serde_json::Value;

/// What becomes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The failure counts.
    Count,
    /// It is as if it had not been.
    Ignore,
    /// Its index has failed for good.
    FailIndex,
    /// The Job has failed; with the words of the condition.
    FailJob(String),
}

/// Judges a failed pod; the first rule that fits decides.
pub(super) fn judge(job: &Object, pod: &Member) -> Verdict {
    let rules = job.get(&["spec", "podFailurePolicy", "rules"]);
    let rules = rules.and_then(Value::as_array).into_iter().flatten();
    let Some(facts) = pod.pod.job.as_deref() else {
        return Verdict::Count;
    };
    let (namespace, name) = (&pod.key.namespace, &pod.key.name);
    for (place, rule) in rules.enumerate() {
        let action = text(rule, "action");
        let (on_codes, on_conditions) = (rule.get("onExitCodes"), rule.get("onPodConditions"));
        let told = match (on_codes, on_conditions) {
            (Some(wanted), _) if !wanted.is_null() => exit(facts, wanted).map(|(container, code)| {
                format!(
                    "Container {container} for pod {namespace}/{name} failed with exit code {code} \
                     matching {action} rule at index {place}"
                )
            }),
            (_, Some(wanted)) => condition(facts, wanted).map(|kind| {
                format!(
                    "Pod {namespace}/{name} has condition {kind} matching {action} rule at index \
                     {place}"
                )
            }),
            _ => None,
        };
        match (told, action) {
            (Some(_), "Ignore") => return Verdict::Ignore,
            (Some(_), "FailIndex") => return Verdict::FailIndex,
            (Some(_), "Count") => return Verdict::Count,
            (Some(words), "FailJob") => return Verdict::FailJob(words),
            _ => {}
        }
    }
    Verdict::Count
}

/// The container whose exit code fits.
fn exit<'a>(facts: &'a JobFacts, wanted: &Value) -> Option<(&'a str, i64)> {
    let container = text(wanted, "containerName");
    let values = wanted.get("values").and_then(Value::as_array);
    let among = |code: i64| {
        let mut values = values.into_iter().flatten();
        values.any(|value| value.as_i64() == Some(code))
    };
    let fits = |code| match text(wanted, "operator") {
        "In" => among(code),
        "NotIn" => !among(code),
        _ => false,
    };
    facts
        .exits
        .iter()
        .find(|(name, code)| (container.is_empty() || container == &**name) && fits(*code))
        .map(|(name, code)| (&**name, *code))
}

/// The pod's first condition that fits one of the patterns.
fn condition<'a>(facts: &'a JobFacts, patterns: &Value) -> Option<&'a str> {
    let patterns = patterns.as_array()?;
    let fits = |kind: &str, status: &str| {
        let mut patterns = patterns.iter();
        patterns.any(|one| text(one, "type") == kind && text(one, "status") == status)
    };
    let mut conditions = facts.conditions.iter();
    let found = conditions.find(|(kind, status)| fits(kind, status));
    found.map(|(kind, _)| &**kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_rule_that_fits_decides() {
        let job = Object::from_value(json!({"spec": {"podFailurePolicy": {"rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [3, 42]}},
            {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [5]}},
            {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [6]}},
            {"action": "FailJob", "onPodConditions": [{"type": "ConfigIssue", "status": "True"}]},
        ]}}}))
        .unwrap();
        let judge_of = |container: &str, code: i64, condition: &str| {
            let pod = json!({
                "metadata": {"name": "p", "namespace": "n", "ownerReferences": [{"kind": "Job"}]},
                "status": {
                    "conditions": [{"type": "Ready", "status": "False"}, {"type": condition, "status": "True"}],
                    "containerStatuses": [{"name": container, "state": {"terminated": {"exitCode": code}}}],
                },
            });
            judge(&job, &Member::of(&Object::from_value(pod).unwrap()))
        };
        assert_eq!(judge_of("main", 42, "DisruptionTarget"), Verdict::Ignore);
        let words =
            "Container main for pod n/p failed with exit code 42 matching FailJob rule at index 1";
        assert_eq!(
            judge_of("main", 42, "x"),
            Verdict::FailJob(words.to_owned())
        );
        assert_eq!(judge_of("other", 42, "x"), Verdict::Count);
        assert_eq!(judge_of("other", 5, "x"), Verdict::FailIndex);
        let words = "Pod n/p has condition ConfigIssue matching FailJob rule at index 4";
        assert_eq!(
            judge_of("main", 0, "ConfigIssue"),
            Verdict::FailJob(words.to_owned())
        );
        assert_eq!(judge_of("main", 6, "x"), Verdict::Count, "no rule fits");
    }
}
