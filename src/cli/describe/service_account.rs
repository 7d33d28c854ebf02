//! ServiceAccounts. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at, list};
use crate::client::Query;
use serde_json::Value;

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    out.metadata(object);
    let namespace = at(object, "/metadata/namespace");
    let all = Query::new();
    let secrets = scene.list(("", "v1", "secrets"), namespace, &all).await;
    let secrets = secrets.unwrap_or_default();
    let names = |path: &str| -> Vec<&str> {
        let names = list(object, path).iter();
        names.map(|secret| at(secret, "/name")).collect()
    };
    let annotation = |secret: &Value, key: &str| {
        let annotations = secret.pointer("/metadata/annotations");
        let value = annotations.and_then(|a| a.get(key)).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let is_token = |secret: &&Value| {
        at(secret, "/type") == "kubernetes.io/service-account-token"
            && annotation(secret, "kubernetes.io/service-account.name")
                == at(object, "/metadata/name")
            && annotation(secret, "kubernetes.io/service-account.uid")
                == at(object, "/metadata/uid")
    };
    let tokens = secrets.iter().filter(is_token);
    let tokens = tokens.map(|secret| at(secret, "/metadata/name")).collect();
    for (title, names) in [
        ("Image pull secrets:", names("/imagePullSecrets")),
        ("Mountable secrets: ", names("/secrets")),
        ("Tokens:            ", tokens),
    ] {
        if names.is_empty() {
            out.line(0, format!("{title}\t<none>"));
        }
        let mut title = title;
        for name in names {
            let known = secrets.iter().any(|s| at(s, "/metadata/name") == name);
            let missing = if known { "" } else { " (not found)" };
            out.line(0, format!("{title}\t{name}{missing}"));
            title = "                   ";
        }
    }
}
