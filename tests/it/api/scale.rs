//! `scale` of every row that has one: a view of the wanted number, and a write of it.

use super::harness::Cluster;
use serde_json::{Value, json};
use wkube::resources::{BUILTINS, ResourceDef};

fn scaled() -> impl Iterator<Item = &'static ResourceDef> {
    BUILTINS
        .iter()
        .copied()
        .filter(|def| def.subresource("scale").is_some())
}

#[tokio::test]
async fn the_wanted_number_is_read_and_written_in_every_way() {
    let cluster = Cluster::start().await;
    assert!(scaled().count() >= 4);
    for def in scaled() {
        let group = match &*def.group {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/{}", def.version),
        };
        let all = format!("{group}/namespaces/default/{}", def.plural);
        let mut object: Value = serde_json::from_str(&def.example).unwrap();
        object["metadata"]["name"] = json!("s");
        cluster.post(&all, &object).await.expect(201);
        let (one, uri) = (format!("{all}/s"), format!("{all}/s/scale"));

        let scale = cluster.get(&uri).await.expect(200);
        assert_eq!(scale["kind"], "Scale");
        assert_eq!(scale["apiVersion"], "autoscaling/v1");
        assert_eq!(scale["spec"], json!({"replicas": 1}));
        assert_eq!(scale["status"], json!({"replicas": 0, "selector": "app=a"}));

        let mut wanted = scale.clone();
        wanted["spec"]["replicas"] = json!(3);
        let put = cluster.put(&uri, &wanted).await.expect(200);
        assert_eq!(put["spec"], json!({"replicas": 3}));
        let stale = cluster.put(&uri, &wanted).await.message(409);
        assert!(stale.contains("the object has been modified"), "{stale}");

        let merge = |n: i64| json!({"spec": {"replicas": n}});
        for (kind, n) in [("merge-patch+json", 4), ("strategic-merge-patch+json", 0)] {
            cluster.patch(&uri, kind, &merge(n)).await.expect(200);
            let now = cluster.get(&one).await.expect(200);
            assert_eq!(now["spec"]["replicas"], json!(n), "{uri} {kind}");
        }
        let none = cluster.get(&uri).await.expect(200);
        assert_eq!(none["spec"], json!({}), "a zero is left out");

        let refused = cluster.patch(&uri, "merge-patch+json", &merge(-1)).await;
        assert_eq!(
            refused.message(422),
            "Scale.autoscaling \"s\" is invalid: spec.replicas: Invalid value: -1: must be \
             greater than or equal to 0"
        );
        let dry = format!("{uri}?dryRun=All");
        let told = cluster.patch(&dry, "merge-patch+json", &merge(9)).await;
        assert_eq!(told.expect(200)["spec"], json!({"replicas": 9}));
        let now = cluster.get(&one).await.expect(200);
        assert_eq!(
            now["spec"]["replicas"],
            json!(0),
            "a dry run writes nothing"
        );

        let config = json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": "s"}, "spec": {"replicas": 7}});
        let apply = format!("{uri}?fieldManager=hpa&force=true");
        let applied = cluster.patch(&apply, "apply-patch+yaml", &config).await;
        assert_eq!(applied.expect(200)["spec"], json!({"replicas": 7}));
        let now = cluster.get(&one).await.expect(200);
        let entries = now["metadata"]["managedFields"].as_array().unwrap();
        let entry = entries.iter().find(|e| e["manager"] == "hpa").unwrap();
        assert_eq!(entry["subresource"], "scale");
        assert_eq!(entry["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));

        let missing = cluster.get(&format!("{all}/none/scale")).await;
        let missing = missing.message(404);
        assert!(missing.ends_with("\"none\" not found"), "{missing}");
    }
}
