//! The events of what is described, below it. Must not know kinds.

use super::Scene;
use super::text::{Text, at, number};
use crate::client::Query;
use crate::meta::time::age;
use serde_json::Value;

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    let mut events = about(scene, object, at(object, "/metadata/uid")).await;
    if at(object, "/kind") == "Node" {
        // Kubernetes: a kubelet takes its node's name for the uid.
        events.extend(about(scene, object, at(object, "/metadata/name")).await);
    }
    if events.is_empty() {
        out.field(0, "Events", "<none>");
        return;
    }
    out.flush();
    events.sort_by(|a, b| at(a, "/lastTimestamp").cmp(at(b, "/lastTimestamp")));
    out.line(0, "Events:");
    out.line(1, "Type\tReason\tAge\tFrom\tMessage");
    out.line(1, "----\t------\t----\t----\t-------");
    for event in &events {
        let from = match at(event, "/source/component") {
            "" => at(event, "/reportingComponent"),
            component => component,
        };
        let line = [
            at(event, "/type"),
            at(event, "/reason"),
            &interval(scene, event),
            from,
            at(event, "/message").trim(),
        ];
        out.line(1, line.join("\t"));
    }
}

fn interval(scene: &Scene<'_>, event: &Value) -> String {
    let since = |path: &str| age(at(event, path), scene.now);
    let first = match at(event, "/eventTime") {
        "" => since("/firstTimestamp"),
        _ => since("/eventTime"),
    };
    if let Some(count) = number(event, "/series/count") {
        return format!(
            "{} (x{count} over {first})",
            since("/series/lastObservedTime")
        );
    }
    match number(event, "/count") {
        Some(count) if count != "0" && count != "1" => {
            format!("{} (x{count} over {first})", since("/lastTimestamp"))
        }
        _ => first,
    }
}

async fn about(scene: &Scene<'_>, object: &Value, uid: &str) -> Vec<Value> {
    let (name, namespace) = (
        at(object, "/metadata/name"),
        at(object, "/metadata/namespace"),
    );
    let mut selector = format!("involvedObject.name={name},involvedObject.uid={uid}");
    if !namespace.is_empty() {
        selector.push_str(&format!(",involvedObject.namespace={namespace}"));
    }
    let query = Query::new().with("fieldSelector", &selector);
    let events = scene.list(("", "v1", "events"), namespace, &query).await;
    events.unwrap_or_default()
}
