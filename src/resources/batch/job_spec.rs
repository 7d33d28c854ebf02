//! What the spec of a Job may say, its own and the one in the template of a CronJob. Must not know
//! pods that run.
//! Kubernetes: `pkg/apis/batch/validation` validateJobSpec.

use crate::meta::{FieldError, names};
use crate::resources::template;
use crate::resources::validate::{At, Errors};
use std::collections::BTreeSet;

/// Most pods at once of a Job that counts its indexes.
const INDEXED_PARALLELISM_MAX: i64 = 100_000;
/// Most indexes of a Job that may fail.
const FAILED_INDEXES_MAX: i64 = 100_000;
/// Above so many completions the next two limits hold.
const COMPLETIONS_SOFT_LIMIT: i64 = 100_000;
const HIGH_PARALLELISM_MAX: i64 = 10_000;
const HIGH_FAILED_INDEXES_MAX: i64 = 10_000;
/// Most rules of a policy, and patterns of a rule.
const RULES_MAX: usize = 20;
/// Most exit codes of a rule.
const EXIT_CODES_MAX: usize = 255;
/// Longest name of who manages a Job (bytes).
const MANAGED_BY_MAX_BYTES: usize = 63;
/// Longest list of indexes (bytes).
const INDEXES_MAX_BYTES: usize = 64 * 1024;

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: &[&str] = &["In", "NotIn"];
const STATUSES: &[&str] = &["False", "True", "Unknown"];

/// Checks all of a spec but the selector.
pub(super) fn validate(spec: &At<'_, '_>, errors: &mut Errors) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        errors.not_negative(&spec.field(field));
    }
    let per_index = spec.field("backoffLimitPerIndex");
    if spec.field("maxFailedIndexes").is_set() && !per_index.is_set() {
        errors.required(&per_index, "when maxFailedIndexes is specified");
    }
    managed_by(&spec.field("managedBy"), errors);
    completion_mode(spec, errors);
    let failure = spec.field("podFailurePolicy");
    if failure.is_set() {
        failure_policy(spec, &failure, errors);
    }
    let success = spec.field("successPolicy");
    if success.is_set() {
        if is_indexed(spec) {
            success_policy(spec, &success, errors);
        } else {
            errors.invalid(&success, "requires indexed completion mode");
        }
    }
    let replacement = spec.field("podReplacementPolicy");
    if replacement.is_set() {
        let supported: &[&str] = if failure.is_set() {
            &["Failed"]
        } else {
            &["Failed", "TerminatingOrFailed"]
        };
        errors.one_of(&replacement, supported);
    }
    let pods = spec.field("template");
    template::validate(&pods, errors);
    restart_policy(&pods.field("spec"), failure.is_set(), errors);
}

fn is_indexed(spec: &At<'_, '_>) -> bool {
    spec.field("completionMode").str() == "Indexed"
}

fn restart_policy(pod: &At<'_, '_>, with_failure_policy: bool, errors: &mut Errors) {
    let policy = pod.field("restartPolicy");
    match policy.str() {
        "" | "Always" => errors.required(&policy, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if with_failure_policy => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.invalid(&policy, detail);
        }
        _ => errors.one_of(&policy, &["OnFailure", "Never"]),
    }
}

/// A domain, a slash and a path.
fn managed_by(at: &At<'_, '_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    match at.str().split_once('/') {
        _ if at.str().is_empty() => errors.required(at, ""),
        Some((domain, path)) if !domain.is_empty() && !path.is_empty() => {
            for detail in names::dns1123_subdomain(domain) {
                errors.invalid_as(at, domain, detail);
            }
            let of_paths = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&b);
            if !path.bytes().all(of_paths) {
                errors.invalid_as(at, path, "Invalid path");
            }
        }
        _ => errors.invalid(
            at,
            "must be a domain-prefixed path (such as \"acme.io/foo\")",
        ),
    }
    if at.str().len() > MANAGED_BY_MAX_BYTES {
        errors.too_long(at, MANAGED_BY_MAX_BYTES);
    }
}

fn completion_mode(spec: &At<'_, '_>, errors: &mut Errors) {
    let mode = spec.field("completionMode");
    let (completions, parallelism) = (spec.field("completions"), spec.field("parallelism"));
    let (failed, per_index) = (
        spec.field("maxFailedIndexes"),
        spec.field("backoffLimitPerIndex"),
    );
    if mode.is_set() {
        errors.one_of(&mode, &["NonIndexed", "Indexed"]);
    }
    if !is_indexed(spec) {
        if matches!(mode.str(), "" | "NonIndexed") {
            for at in [per_index, failed].iter().filter(|at| at.is_set()) {
                errors.invalid(at, "requires indexed completion mode");
            }
        }
        return;
    }
    if !completions.is_set() {
        errors.required(&completions, "when completion mode is Indexed");
    }
    if parallelism.number() > INDEXED_PARALLELISM_MAX {
        let detail = format!(
            "must be less than or equal to {INDEXED_PARALLELISM_MAX} when completion mode is Indexed"
        );
        errors.invalid(&parallelism, detail);
    }
    if completions.is_set() && failed.number() > completions.number() {
        errors.invalid(&failed, "must be less than or equal to completions");
    }
    if failed.number() > FAILED_INDEXES_MAX {
        let detail = format!("must be less than or equal to {FAILED_INDEXES_MAX}");
        errors.invalid(&failed, detail);
    }
    if completions.number() <= COMPLETIONS_SOFT_LIMIT || !per_index.is_set() {
        return;
    }
    if !failed.is_set() {
        let detail =
            format!("must be specified when completions is above {COMPLETIONS_SOFT_LIMIT}");
        errors.required(&failed, &detail);
    }
    for (at, most) in [
        (&parallelism, HIGH_PARALLELISM_MAX),
        (&failed, HIGH_FAILED_INDEXES_MAX),
    ] {
        if at.number() > most {
            let detail = format!(
                "must be less than or equal to {most} when completions are above \
                 {COMPLETIONS_SOFT_LIMIT} and used with backoff limit per index"
            );
            errors.invalid(at, detail);
        }
    }
}

/// `valid values: ["a" "b"]`, as Go prints a list of strings.
fn valid_values(list: &[&str]) -> String {
    let list: Vec<String> = list.iter().map(|text| format!("{text:?}")).collect();
    format!("valid values: [{}]", list.join(" "))
}

/// A word that must be there and be known.
fn word(at: &At<'_, '_>, known: &[&str], errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, &valid_values(known));
    } else {
        errors.one_of(at, known);
    }
}

fn failure_policy(spec: &At<'_, '_>, policy: &At<'_, '_>, errors: &mut Errors) {
    let rules = policy.field("rules");
    if rules.len() > RULES_MAX {
        errors.too_many(&rules, RULES_MAX);
    }
    let template = spec.field("template");
    let pod = template.field("spec");
    let lists = ["containers", "initContainers"].map(|list| pod.field(list));
    let containers: BTreeSet<&str> = lists
        .iter()
        .flat_map(|list| list.values())
        .filter_map(|container| container.get("name")?.as_str())
        .collect();
    for rule in rules.items() {
        let action = rule.field("action");
        if action.str() == "FailIndex" {
            if !spec.field("backoffLimitPerIndex").is_set() {
                errors.invalid(&action, "requires the backoffLimitPerIndex to be set");
            }
        } else {
            word(&action, ACTIONS, errors);
        }
        let (codes, conditions) = (rule.field("onExitCodes"), rule.field("onPodConditions"));
        if codes.is_set() {
            exit_codes(&codes, &containers, errors);
        }
        pod_conditions(&conditions, errors);
        match (codes.is_set(), conditions.is_empty()) {
            (true, false) => errors.invalid_omitted(
                &rule,
                "specifying both OnExitCodes and OnPodConditions is not supported",
            ),
            (false, true) => errors.invalid_omitted(
                &rule,
                "specifying one of OnExitCodes and OnPodConditions is required",
            ),
            _ => {}
        }
    }
}

fn pod_conditions(list: &At<'_, '_>, errors: &mut Errors) {
    if list.len() > RULES_MAX {
        errors.too_many(list, RULES_MAX);
    }
    for pattern in list.items() {
        let kind = pattern.field("type");
        errors.invalid_all(&kind, names::qualified_name(kind.str()));
        word(&pattern.field("status"), STATUSES, errors);
    }
}

fn exit_codes(at: &At<'_, '_>, containers: &BTreeSet<&str>, errors: &mut Errors) {
    let (operator, name, values) = (
        at.field("operator"),
        at.field("containerName"),
        at.field("values"),
    );
    word(&operator, OPERATORS, errors);
    if name.is_set() && !containers.contains(name.str()) {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.invalid(&name, detail);
    }
    if values.is_empty() {
        errors.invalid(&values, "at least one value is required");
    } else if values.len() > EXIT_CODES_MAX {
        errors.too_many(&values, EXIT_CODES_MAX);
    }
    let mut seen = BTreeSet::new();
    let mut last = None;
    let mut ordered = true;
    for code in values.items() {
        let number = code.number();
        if operator.str() == "In" && number == 0 {
            errors.invalid(&code, "must not be 0 for the In operator");
        }
        if !seen.insert(number) {
            errors.duplicate(&code);
        }
        ordered &= last.is_none_or(|last| last <= number);
        last = Some(number);
    }
    if !ordered {
        errors.invalid(&values, "must be ordered");
    }
}

fn success_policy(spec: &At<'_, '_>, policy: &At<'_, '_>, errors: &mut Errors) {
    let rules = policy.field("rules");
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.required(&rules, detail);
    }
    if rules.len() > RULES_MAX {
        errors.too_many(&rules, RULES_MAX);
    }
    let completions = spec.field("completions").number();
    for rule in rules.items() {
        let (count, list) = (rule.field("succeededCount"), rule.field("succeededIndexes"));
        if !count.is_set() && !list.is_set() {
            let detail = "at least one of succeededCount or succeededIndexes must be specified";
            errors.required(&rule, detail);
        }
        let mut total = 0;
        if list.is_set() {
            if list.str().len() > INDEXES_MAX_BYTES {
                errors.too_long(&list, INDEXES_MAX_BYTES);
            }
            match indexes(list.str(), completions) {
                Ok(spans) => total = spans.iter().map(|(first, last)| last - first + 1).sum(),
                Err(why) => {
                    errors.invalid(&list, format!("error parsing succeededIndexes: {why}"));
                }
            }
        }
        errors.not_negative(&count);
        if count.number() > completions {
            let detail = format!(
                "must be less than or equal to {completions} (the number of specified completions)"
            );
            errors.invalid(&count, detail);
        }
        if list.is_set() && count.number() > total {
            let detail = format!(
                "must be less than or equal to {total} (the number of indexes in the specified \
                 succeededIndexes field)"
            );
            errors.invalid(&count, detail);
        }
    }
}

/// The spans of a list of indexes such as `1,3-5`, below `completions`.
pub(super) fn indexes(text: &str, completions: i64) -> Result<Vec<(i64, i64)>, String> {
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = span(part, completions)?;
        if let Some((_, before)) = spans.last()
            && *before >= first
        {
            return Err(format!(
                "non-increasing order, previous: {before}, current: {first}"
            ));
        }
        spans.push((first, last));
    }
    Ok(spans)
}

fn span(text: &str, completions: i64) -> Result<(i64, i64), String> {
    let number = |word: &str| {
        let number: i64 = word
            .parse()
            .map_err(|_| format!("cannot convert string to integer for index: {word:?}"))?;
        if number >= completions {
            return Err(format!("too large index: {word:?}"));
        }
        Ok(number)
    };
    let ends: Vec<&str> = text.split('-').collect();
    match ends.as_slice() {
        [one] => number(one).map(|index| (index, index)),
        [first, last] => {
            let (first, last) = (number(first)?, number(last)?);
            if first >= last {
                return Err(format!(
                    "non-increasing order, previous: {first}, current: {last}"
                ));
            }
            Ok((first, last))
        }
        _ => Err(format!(
            "the fragment {text:?} violates the requirement that an index interval can have at \
             most two parts separated by '-'"
        )),
    }
}

/// A name that pods of an indexed Job cannot bear.
pub(super) fn too_long_a_name(name: &str, spec: &At<'_, '_>) -> Option<FieldError> {
    let completions = spec.field("completions").number();
    if !is_indexed(spec) || completions <= 0 {
        return None;
    }
    let longest = format!("{name}-{}", completions - 1);
    if names::dns1123_label(&longest).is_empty() {
        return None;
    }
    let detail = format!("will not able to create pod with invalid DNS label: {longest}");
    Some(FieldError::invalid("metadata.name", name, detail))
}
