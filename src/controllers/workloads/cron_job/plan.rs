//! What a CronJob does next: which of its Jobs it has seen end, whether another is due, which old
//! ones go. Pure.
//! Kubernetes: `pkg/controller/cronjob/cronjob_controllerv2.go` syncCronJob, `utils.go`.

use super::super::job::ended;
use crate::client::EventType;
use crate::controllers::workloads::conditions::text;
use crate::controllers::workloads::number;
use crate::meta::time::{parse, rfc3339};
use crate::meta::{Object, ObjectKey};
use crate::resources::batch::schedule::{self, Schedule};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::time::Duration;

/// What a clock may be behind the others. Kubernetes: nextScheduleDelta.
const SKEW: SignedDuration = SignedDuration::from_millis(100);
/// Missed times that are told of. Kubernetes: 100 is more than an hourly one misses on a weekend.
const MISSED_MAX: i64 = 100;
/// The annotation of a Job that says when it was due.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// What is told: of which type, why, in which words.
pub(super) type Told = (EventType, &'static str, String);

/// A CronJob, and what is found of it.
pub(super) struct View<'a> {
    pub(super) cron: &'a Object,
    /// Its Jobs.
    pub(super) jobs: &'a [Object],
    /// Unique ids of active Jobs that are no more.
    pub(super) missing: &'a HashSet<String>,
    /// The time zone of its schedule: what was found under its name.
    pub(super) zone: Result<TimeZone, String>,
    /// Whether the schedule's times are in the zone of the server, as no zone is named.
    pub(super) now: Timestamp,
}

/// What is to be done, in this order: what is told; what is replaced; what is made; the status.
#[derive(Debug)]
pub(super) struct Plan {
    /// The status as it is to be.
    pub(super) status: Map<String, Value>,
    pub(super) told: Vec<Told>,
    /// Jobs that go before another comes.
    pub(super) replaced: Vec<ObjectKey>,
    /// The Job that is due.
    pub(super) due: Option<Due>,
    /// Old Jobs that go.
    pub(super) old: Vec<ObjectKey>,
    /// When to look again.
    pub(super) next: Option<Duration>,
}

/// A Job that is due.
#[derive(Debug)]
pub(super) struct Due {
    /// It, but for its owner.
    pub(super) job: Value,
    /// Since when.
    pub(super) at: Timestamp,
}

/// The entries of `status.active`.
pub(super) fn active(status: &Map<String, Value>) -> Vec<Value> {
    let list = status.get("active").and_then(Value::as_array);
    list.cloned().unwrap_or_default()
}

/// Sets `status.active`.
pub(super) fn set_active(status: &mut Map<String, Value>, list: Vec<Value>) {
    match list.is_empty() {
        true => status.remove("active"),
        false => status.insert("active".to_owned(), Value::Array(list)),
    };
}

/// The name of the Job of a time.
pub(super) fn job_name(cron: &Object, at: Timestamp) -> String {
    format!("{}-{}", cron.name(), at.as_second() / 60)
}

/// Decides.
pub(super) fn plan(view: &View<'_>) -> Plan {
    let status = match view.cron.get(&["status"]) {
        Some(Value::Object(status)) => status.clone(),
        _ => Map::new(),
    };
    let mut plan = Plan {
        status,
        told: Vec::new(),
        replaced: Vec::new(),
        due: None,
        old: old(view),
        next: None,
    };
    look(view, &mut plan);
    if view.cron.deletion_timestamp().is_none() {
        start(view, &mut plan);
    }
    plan
}

/// What has become of the Jobs.
fn look(view: &View<'_>, plan: &mut Plan) {
    let mut list = active(&plan.status);
    let uid = |reference: &Value| text(reference, "uid").to_owned();
    for job in view.jobs {
        let listed = list.iter().any(|one| text(one, "uid") == job.uid());
        let Some(end) = ended(job) else {
            if !listed {
                let message = format!(
                    "Saw a job that the controller did not create or forgot: {}",
                    job.name()
                );
                plan.told
                    .push((EventType::Warning, "UnexpectedJob", message));
            }
            continue;
        };
        let kind = text(&end, "type");
        if listed {
            list.retain(|one| text(one, "uid") != job.uid());
            let message = format!("Saw completed job: {}, condition: {kind}", job.name());
            plan.told
                .push((EventType::Normal, "SawCompletedJob", message));
        }
        let completed = job.str_at(&["status", "completionTime"]);
        let last = plan
            .status
            .get("lastSuccessfulTime")
            .and_then(Value::as_str);
        if kind == "Complete" && parse(completed) > last.and_then(parse) {
            plan.status
                .insert("lastSuccessfulTime".to_owned(), json!(completed));
        }
    }
    list.retain(|one| {
        let missing = view.missing.contains(&uid(one));
        if missing {
            let message = format!("Active job went missing: {}", text(one, "name"));
            plan.told.push((EventType::Normal, "MissingJob", message));
        }
        !missing
    });
    set_active(&mut plan.status, list);
}

/// Whether a Job is due.
fn start(view: &View<'_>, plan: &mut Plan) {
    let cron = view.cron;
    let mut warn = |reason, message| plan.told.push((EventType::Warning, reason, message));
    let zone = match &view.zone {
        Ok(zone) => zone,
        Err(error) => {
            let name = cron.str_at(&["spec", "timeZone"]);
            warn(
                "UnknownTimeZone",
                format!("invalid timeZone: {name:?}: {error}"),
            );
            return;
        }
    };
    if cron.get(&["spec", "suspend"]) == Some(&Value::Bool(true)) {
        return;
    }
    let words = cron.str_at(&["spec", "schedule"]);
    if words.contains("TZ") {
        let message = format!(
            "CRON_TZ or TZ used in schedule {words:?} is not officially supported, see \
             https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        );
        warn("UnsupportedSchedule", message);
    }
    let schedule = match schedule::parse(words) {
        Ok(schedule) => schedule,
        Err(error) => {
            warn(
                "UnparseableSchedule",
                format!("unparseable schedule: {words:?} : {error}"),
            );
            return;
        }
    };
    let times = Times {
        view,
        schedule: &schedule,
        zone,
    };
    match times.most_recent(true) {
        Err(error) => {
            warn(
                "InvalidSchedule",
                format!("invalid schedule: {words} : {error}"),
            );
            return;
        }
        Ok(Recent {
            due: Some(at),
            too_many,
            ..
        }) => {
            if too_many {
                let message = "too many missed start times. Set or decrease \
                               .spec.startingDeadlineSeconds or check clock skew";
                warn("TooManyMissedTimes", message.to_owned());
            }
            begin(&times, at, plan);
        }
        Ok(_) => {}
    }
    plan.next = times.next();
    if let Some(due) = &plan.due {
        let at = due.at;
        plan.next = times.wait(at);
    }
}

/// What is done at a time that has come.
fn begin(times: &Times<'_>, at: Timestamp, plan: &mut Plan) {
    let (cron, now) = (times.view.cron, times.view.now);
    let deadline = cron
        .get(&["spec", "startingDeadlineSeconds"])
        .and_then(Value::as_i64);
    let late = deadline.is_some_and(|seconds| {
        let end = at.checked_add(SignedDuration::from_secs(seconds));
        end.is_ok_and(|end| end < now)
    });
    if late {
        let when = at.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let message = format!("Missed scheduled time to start a job: {when}");
        plan.told
            .push((EventType::Warning, "MissSchedule", message));
        return;
    }
    let name = job_name(cron, at);
    let list = active(&plan.status);
    let last = plan.status.get("lastScheduleTime").and_then(Value::as_str);
    if list.iter().any(|one| text(one, "name") == name) || last.and_then(parse) == Some(at) {
        return;
    }
    match cron.str_at(&["spec", "concurrencyPolicy"]) {
        "Forbid" if !list.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency \
                           policy is Forbid";
            plan.told
                .push((EventType::Normal, "JobAlreadyActive", message.to_owned()));
            return;
        }
        "Replace" => {
            let key = |one: &Value| ObjectKey::new(cron.namespace(), text(one, "name"));
            plan.replaced = list.iter().map(key).collect();
        }
        _ => {}
    }
    let job = job(cron, &name, at);
    plan.due = Some(Due { job, at });
}

/// The Job of a time.
fn job(cron: &Object, name: &str, at: Timestamp) -> Value {
    let template = cron
        .get(&["spec", "jobTemplate"])
        .cloned()
        .unwrap_or_default();
    let map = |field: &str| match template.pointer(&format!("/metadata/{field}")) {
        Some(Value::Object(map)) => map.clone(),
        _ => Map::new(),
    };
    let mut annotations = map("annotations");
    annotations.insert(SCHEDULED.to_owned(), json!(in_zone(cron, at)));
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": map("labels"), "annotations": annotations},
        "spec": template.get("spec").cloned().unwrap_or_default(),
    })
}

/// The time in the zone that the CronJob names; in UTC if it names none.
fn in_zone(cron: &Object, at: Timestamp) -> String {
    let zone = super::zone(cron.str_at(&["spec", "timeZone"])).unwrap_or(TimeZone::UTC);
    let there = at.to_zoned(zone);
    match there.offset().seconds() {
        0 => rfc3339(at),
        _ => there.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    }
}

struct Times<'a> {
    view: &'a View<'a>,
    schedule: &'a Schedule,
    zone: &'a TimeZone,
}

/// Which time has come last.
struct Recent {
    /// From when it was looked for.
    since: Timestamp,
    due: Option<Timestamp>,
    too_many: bool,
}

/// What is said of a schedule that is never due.
const NEVER: &str = "time difference between two schedules is less than 1 second";

impl Times<'_> {
    fn after(&self, at: Timestamp) -> Result<Timestamp, &'static str> {
        self.schedule.next(at, self.zone).ok_or(NEVER)
    }

    /// The last time that has come since the last Job, or since the CronJob was made.
    fn most_recent(&self, by_deadline: bool) -> Result<Recent, &'static str> {
        let (cron, now) = (self.view.cron, self.view.now);
        let time = |path: &[&str]| parse(cron.str_at(path));
        let mut since = time(&["status", "lastScheduleTime"])
            .or_else(|| time(&["metadata", "creationTimestamp"]))
            .unwrap_or(now);
        let deadline = cron
            .get(&["spec", "startingDeadlineSeconds"])
            .and_then(Value::as_i64);
        if let Some(seconds) = deadline.filter(|_| by_deadline) {
            let earliest = now.checked_sub(SignedDuration::from_secs(seconds));
            since = since.max(earliest.unwrap_or(since));
        }
        let none = Recent {
            since,
            due: None,
            too_many: false,
        };
        let first = self.after(since)?;
        if now < first {
            return Ok(none);
        }
        let second = self.after(first)?;
        if now < second {
            return Ok(Recent {
                due: Some(first),
                ..none
            });
        }
        let between = second.duration_since(first).as_secs();
        if between < 1 {
            return Err(NEVER);
        }
        let missed = now.duration_since(first).as_secs() / between + 1;
        // Where the times are not even, the last of them may be further on.
        let ahead = SignedDuration::from_secs((missed - 2).saturating_mul(between));
        let mut at = self.after(first.checked_add(ahead).unwrap_or(first))?;
        let mut due = None;
        while at <= now {
            due = Some(at);
            at = self.after(at)?;
        }
        Ok(Recent {
            since,
            due,
            too_many: missed > MISSED_MAX,
        })
    }

    /// How long it is to the time after `at`.
    fn wait(&self, at: Timestamp) -> Option<Duration> {
        let next = self.after(at).ok()?.checked_add(SKEW).ok()?;
        let left = next.duration_since(self.view.now);
        Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
    }

    /// How long it is to the next time.
    fn next(&self) -> Option<Duration> {
        match self.most_recent(false) {
            Ok(recent) => self.wait(recent.due.unwrap_or(recent.since)),
            Err(_) => self.wait(self.view.now),
        }
    }
}

/// The Jobs that are more than are kept, the oldest first.
fn old(view: &View<'_>) -> Vec<ObjectKey> {
    let mut doomed = Vec::new();
    for (kind, limit) in [
        ("Complete", "successfulJobsHistoryLimit"),
        ("Failed", "failedJobsHistoryLimit"),
    ] {
        if view.cron.get(&["spec", limit]).is_none_or(Value::is_null) {
            continue;
        }
        let kept = usize::try_from(number(view.cron, &["spec", limit])).unwrap_or(0);
        let ended = |job: &&Object| ended(job).is_some_and(|end| text(&end, "type") == kind);
        let mut jobs: Vec<&Object> = view.jobs.iter().filter(ended).collect();
        jobs.sort_by_key(|job| {
            let started = parse(job.str_at(&["status", "startTime"]));
            (started.is_none(), started, job.name())
        });
        let surplus = jobs.len().saturating_sub(kept);
        doomed.extend(jobs.into_iter().take(surplus).map(Object::key));
    }
    doomed
}
