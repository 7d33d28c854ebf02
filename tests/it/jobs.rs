//! Jobs and CronJobs with real pods, by the real kubectl: how they end, what is said of it, and what
//! they leave behind.

use crate::kubectl::kubectls;
use crate::server::{Server, WKUBE};
use std::path::Path;

const TOOL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/guests/prebuilt/tool-p1.wasm"
);

/// A server with the image `tool:1` in its folder.
fn server(folder: &Path) -> Server {
    let data = folder.to_str().unwrap();
    let build = std::process::Command::new(WKUBE)
        .args(["image", "build", "--data-dir", data, "-t", "tool:1", TOOL])
        .output()
        .unwrap();
    assert!(build.status.success(), "{build:?}");
    Server::start(folder, &[])
}

fn seed(name: &str) -> String {
    format!("{}/tests/seed/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

/// Applies a Job of this name and spec; its pods run the tool with these arguments.
fn apply(server: &Server, kubectl: &str, name: &str, (spec, args): (&str, &str)) {
    let job = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}}}\nspec: {{{spec}, template: \
         {{spec: {{restartPolicy: Never, containers: [{{name: c, image: 'tool:1', args: \
         [{args}]}}]}}}}}}\n"
    );
    let file = server.kubeconfig.with_file_name(format!("{name}.yaml"));
    std::fs::write(&file, job).unwrap();
    server.ok(kubectl, &["apply", "-f", file.to_str().unwrap()]);
}

fn wait(server: &Server, kubectl: &str, job: &str, condition: &str) {
    let condition = format!("--for=condition={condition}");
    let job = format!("job/{job}");
    server.ok(kubectl, &["wait", &condition, &job, "--timeout=60s"]);
}

#[test]
fn a_job_runs_its_pods_to_the_end_and_takes_them_with_it() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path());
        let ok = |args: &[&str]| server.ok(&kubectl, args);
        let manifest = seed("simple-job");
        let said = ok(&["apply", "-f", &manifest]);
        assert_eq!(said, "job.batch/pingpong created\n");
        wait(&server, &kubectl, "pingpong", "complete");
        let shown = ok(&["get", "job", "pingpong"]);
        assert!(shown.contains("3/1 of 3"), "{shown}");
        let names = ["get", "pods", "-l", "app=pingpong", "-o", "name"];
        assert_eq!(ok(&names).lines().count(), 3);
        let logs = ok(&["logs", "job/pingpong"]);
        assert!(logs.contains("pong!"), "{logs}");
        let described = ok(&["describe", "job", "pingpong"]);
        for words in [
            "3 Succeeded / 0 Failed",
            "Created pod: pingpong-",
            "Job completed",
        ] {
            assert!(described.contains(words), "{described}");
        }
        let finalizers = "jsonpath={.items[*].metadata.finalizers}";
        let left = ok(&["get", "pods", "-l", "app=pingpong", "-o", finalizers]);
        assert_eq!(left, "", "all are counted");
        ok(&["delete", "-f", &manifest]);
        server.until(&kubectl, &names, str::is_empty);
        // Each index has its number, and one that is told to go when it has ended goes.
        let spec = "completions: 2, parallelism: 2, completionMode: Indexed, suspend: true";
        apply(&server, &kubectl, "indexed", (spec, "print"));
        let suspended = "jsonpath={.status.conditions[0].type}";
        server.until(
            &kubectl,
            &["get", "job", "indexed", "-o", suspended],
            |text| text == "Suspended",
        );
        let resume = r#"{"spec":{"suspend":false}}"#;
        ok(&["patch", "job", "indexed", "--type=merge", "-p", resume]);
        wait(&server, &kubectl, "indexed", "complete");
        let indexes = "jsonpath={.status.completedIndexes}/{.status.succeeded}";
        assert_eq!(ok(&["get", "job", "indexed", "-o", indexes]), "0,1/2");
        let label = "batch.kubernetes.io/job-completion-index=1";
        let logs = ok(&["logs", "-l", label]);
        assert!(logs.contains("JOB_COMPLETION_INDEX"), "{logs}");
        let ttl = r#"{"spec":{"ttlSecondsAfterFinished":0}}"#;
        ok(&["patch", "job", "indexed", "--type=merge", "-p", ttl]);
        server.until(&kubectl, &["get", "jobs,pods", "-o", "name"], str::is_empty);
    }
}

#[test]
fn a_job_that_fails_says_why() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path());
        let ok = |args: &[&str]| server.ok(&kubectl, args);
        apply(&server, &kubectl, "fails", ("backoffLimit: 0", "exit, '3'"));
        let policy = "backoffLimit: 5, podFailurePolicy: {rules: [{action: FailJob, onExitCodes: \
                      {operator: In, values: [3]}}]}";
        apply(&server, &kubectl, "policy", (policy, "exit, '3'"));
        apply(
            &server,
            &kubectl,
            "late",
            ("activeDeadlineSeconds: 1", "sleep, '600000'"),
        );
        for (job, reason, message) in [
            (
                "fails",
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            ),
            (
                "policy",
                "PodFailurePolicy",
                "failed with exit code 3 matching FailJob rule at index 0",
            ),
            (
                "late",
                "DeadlineExceeded",
                "Job was active longer than specified deadline",
            ),
        ] {
            wait(&server, &kubectl, job, "failed");
            let described = server.until(&kubectl, &["describe", "job", job], |text| {
                text.contains(reason)
            });
            assert!(described.contains(message), "{described}");
            let counted = "jsonpath={.status.failed}/{.status.conditions[*].type}";
            let counted = ok(&["get", "job", job, "-o", counted]);
            assert_eq!(counted, "1/FailureTarget Failed", "{job}");
        }
    }
}

#[test]
fn a_cron_job_of_the_retired_version_makes_jobs() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path());
        let ok = |args: &[&str]| server.ok(&kubectl, args);
        let manifest = seed("simple-cronjob");
        let said = ok(&["apply", "-f", &manifest]);
        assert!(said.contains("cronjob.batch/pingpong created"), "{said}");
        let shown = ok(&["get", "cronjob", "pingpong"]);
        assert!(shown.contains("*/1 * * * *"), "{shown}");
        // The old kubectl knows CronJobs of the retired version alone.
        let by_hand = ["create", "job", "by-hand", "--from=cronjob/pingpong"];
        if !server.run(&kubectl, &by_hand).status.success() {
            let retired = "--from=cronjobs.v1beta1.batch/pingpong";
            ok(&["create", "job", "by-hand", retired]);
        }
        wait(&server, &kubectl, "by-hand", "complete");
        // One that is due at each second of the past is due at once: what was missed is made up for.
        let due = r#"{"spec":{"schedule":"@every 1s"}}"#;
        ok(&["patch", "cronjob", "pingpong", "--type=merge", "-p", due]);
        let succeeded = "jsonpath={.status.lastSuccessfulTime}";
        server.until(
            &kubectl,
            &["get", "cronjob", "pingpong", "-o", succeeded],
            |text| !text.is_empty(),
        );
        let described = server.until(&kubectl, &["describe", "cronjob", "pingpong"], |text| {
            text.contains("SawCompletedJob")
        });
        assert!(described.contains("Created job pingpong-"), "{described}");
        ok(&["delete", "-f", &manifest]);
        server.until(&kubectl, &["get", "jobs,pods", "-o", "name"], str::is_empty);
    }
}
