//! A container with probes whose answers follow a script, in pretended time: what was asked when,
//! and what followed from it.

use super::*;
use serde_json::json;

/// The script of a kind: `(from second, answer)`; the last line that has begun counts.
type Script<'a> = (Kind, &'a [(i64, char)]);

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_millisecond((seconds * 1_000.0) as i64).unwrap()
}

/// Answers are `y`es, `n`o, `w`arning, `e`rror. The log says `<second>s <Kind><answer>`, and in
/// brackets what has changed: `started`, `ready`, `unready`, `kill <kind>`.
fn run(container: serde_json::Value, scripts: &[Script<'_>], spread: f64, until: i64) -> String {
    let mut container: serde_json::Value = container;
    container["name"] = json!("c");
    let container: Container = serde_json::from_value(container).unwrap();
    let mut probes = Probes::NEW;
    let (mut now, end) = (at(0.0), at(until as f64));
    let mut log = Vec::new();
    let mut shown = (probes.started(&container), probes.ready(&container));
    loop {
        let (due, wake) = probes.due(&container, at(0.0), spread, now);
        if due.is_empty() {
            match wake.filter(|wake| *wake <= end && probes.failed().is_none()) {
                Some(wake) => now = wake,
                None => return log.join(", "),
            }
        }
        for kind in due {
            let probe = kind.of(&container).unwrap();
            probes.begin(kind, probe, now);
            let script = scripts.iter().find(|(of, _)| *of == kind).unwrap().1;
            let past = |(from, _): &&(i64, char)| at(*from as f64) <= now;
            let answer = script.iter().rfind(past).unwrap().1;
            let outcome = match answer {
                'y' => Outcome::Success,
                'w' => Outcome::Warning(String::new()),
                'n' => Outcome::failure("no"),
                _ => Outcome::Error("cannot".to_owned()),
            };
            let changed = probes.note(kind, probe, &outcome);
            let seconds = now.as_millisecond() as f64 / 1_000.0;
            let mut line = format!("{seconds}s {}{answer}", &kind.title()[..1]);
            let new = (probes.started(&container), probes.ready(&container));
            if new.0 && !shown.0 {
                line += " [started]";
            }
            if new.1 != shown.1 {
                line += if new.1 { " [ready]" } else { " [unready]" };
            }
            if let Some(kind) = probes.failed() {
                line += &format!(" [kill {}]", kind.word());
            }
            assert!(changed || new == shown, "{line}");
            shown = new;
            log.push(line);
        }
    }
}

#[test]
fn thresholds_delays_and_periods_are_those_of_the_spec() {
    use Kind::{Liveness, Readiness, Startup};
    let ready = json!({"readinessProbe": {"periodSeconds": 5}});
    let cases: &[(serde_json::Value, &[Script<'_>], f64, i64, &str)] = &[
        // Ready at the first yes; three times no in a row make it unready.
        (
            ready.clone(),
            &[(Readiness, &[(0, 'n'), (6, 'y'), (11, 'n'), (19, 'y')])],
            0.0,
            25,
            "0s Rn, 5s Rn, 10s Ry [ready], 15s Rn, 20s Ry, 25s Ry",
        ),
        (
            ready.clone(),
            &[(Readiness, &[(0, 'y'), (1, 'n')])],
            0.0,
            20,
            "0s Ry [ready], 5s Rn, 10s Rn, 15s Rn [unready], 20s Rn",
        ),
        // What could not be asked counts for nothing, and does not break a row.
        (
            ready.clone(),
            &[(Readiness, &[(0, 'y'), (1, 'n'), (9, 'e'), (11, 'n')])],
            0.0,
            20,
            "0s Ry [ready], 5s Rn, 10s Re, 15s Rn, 20s Rn [unready]",
        ),
        (ready, &[(Readiness, &[(0, 'w')])], 0.0, 0, "0s Rw [ready]"),
        (
            json!({"readinessProbe": {"periodSeconds": 2, "successThreshold": 3,
                "failureThreshold": 1, "initialDelaySeconds": 3}}),
            &[(Readiness, &[(0, 'y'), (8, 'n'), (10, 'y')])],
            0.0,
            16,
            "3s Ry, 5s Ry, 7s Ry [ready], 9s Rn [unready], 11s Ry, 13s Ry, 15s Ry [ready]",
        ),
        // Defaults: ten seconds, three failures. Then it is on hold.
        (
            json!({"livenessProbe": {}}),
            &[(Liveness, &[(0, 'n')])],
            0.0,
            100,
            "0s Ln, 10s Ln, 20s Ln [kill liveness]",
        ),
        // Many are spread over the period.
        (
            json!({"livenessProbe": {"initialDelaySeconds": 1, "failureThreshold": 1}}),
            &[(Liveness, &[(0, 'n')])],
            0.5,
            100,
            "6s Ln [kill liveness]",
        ),
        // Nothing else is asked before it has started, and then the start is asked no more.
        (
            json!({"startupProbe": {"periodSeconds": 1, "failureThreshold": 5},
                "livenessProbe": {"periodSeconds": 3}, "readinessProbe": {"periodSeconds": 2}}),
            &[
                (Startup, &[(0, 'n'), (3, 'y')]),
                (Liveness, &[(0, 'y')]),
                (Readiness, &[(0, 'y')]),
            ],
            0.0,
            6,
            "0s Sn, 1s Sn, 2s Sn, 3s Sy [started], 3s Ly, 3s Ry [ready], 5s Ry, 6s Ly",
        ),
        (
            json!({"startupProbe": {"periodSeconds": 4, "failureThreshold": 2}}),
            &[(Startup, &[(0, 'n')])],
            0.0,
            100,
            "0s Sn, 4s Sn [kill startup]",
        ),
        // No probes at all: nothing is asked.
        (json!({}), &[], 0.0, 100, ""),
    ];
    for (container, scripts, spread, until, wanted) in cases {
        let log = run(container.clone(), scripts, *spread, *until);
        assert_eq!(&log, wanted, "{container}");
    }
}

#[test]
fn what_is_being_asked_is_not_asked_again_and_a_late_answer_delays_nothing() {
    let container = json!({"name": "c", "readinessProbe": {"periodSeconds": 5}});
    let container: Container = serde_json::from_value(container).unwrap();
    let probe = container.readiness_probe.as_ref().unwrap();
    let mut probes = Probes::NEW;
    probes.begin(Kind::Readiness, probe, at(0.0));
    assert_eq!(
        probes.due(&container, at(0.0), 0.0, at(6.0)),
        (vec![], None)
    );
    assert!(probes.note(Kind::Readiness, probe, &Outcome::Success));
    let due = probes.due(&container, at(0.0), 0.0, at(6.0));
    assert_eq!(due, (vec![Kind::Readiness], None));
    assert!(!probes.note(Kind::Readiness, probe, &Outcome::Success));
}
