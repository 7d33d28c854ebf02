//! Service accounts' tokens: asked for, shown, and refused when they are not what they should be.

use super::harness::{Answer, Cluster, collect};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;
use wkube::api::{AccountTokens, Limits};
use wkube::stdx::Clock;

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

struct World {
    cluster: Cluster,
    account: Value,
}

async fn world() -> World {
    let clock = Clock::virtual_from(Timestamp::from_second(1_800_000_000).unwrap());
    let cluster = Cluster::with(Limits::default(), clock).await;
    let account = cluster
        .post(ACCOUNTS, &json!({"metadata": {"name": "robot"}}))
        .await
        .expect(201);
    World { cluster, account }
}

impl World {
    async fn ask(&self, spec: Value) -> Answer {
        let uri = format!("{ACCOUNTS}/robot/token");
        self.cluster.post(&uri, &json!({"spec": spec})).await
    }

    async fn token(&self, spec: Value) -> String {
        let told = self.ask(spec).await.expect(201);
        told["status"]["token"].as_str().unwrap().to_owned()
    }

    /// Who the server takes the bearer for.
    async fn who(&self, token: &str) -> Answer {
        let uri = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let sent = self
            .cluster
            .send(None, Method::POST, uri, &headers, "{}")
            .await;
        collect(sent).await
    }

    /// What a review of the token says.
    async fn review(&self, token: &str, audiences: &[&str]) -> Value {
        let uri = "/apis/authentication.k8s.io/v1/tokenreviews";
        let body = json!({"spec": {"token": token, "audiences": audiences}});
        self.cluster.post(uri, &body).await.expect(201)["status"].clone()
    }

    async fn refused(&self, token: &str, why: &str) {
        self.who(token).await.expect(401);
        assert_eq!(self.review(token, &[]).await["error"], why);
    }
}

/// A part of a token, read.
fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_token_says_who_bears_it() {
    let world = world().await;
    let told = world
        .ask(json!({"expirationSeconds": 600}))
        .await
        .expect(201);
    assert_eq!(told["kind"], "TokenRequest");
    assert_eq!(told["metadata"]["name"], "robot");
    assert_eq!(told["spec"]["audiences"], json!([ISSUER]));
    assert_eq!(
        told["status"]["expirationTimestamp"],
        "2027-01-15T08:10:00Z"
    );
    let token = told["status"]["token"].as_str().unwrap();
    let claims = part(token, 1);
    let uid = &world.account["metadata"]["uid"];
    assert_eq!(claims["exp"], json!(1_800_000_600));
    assert_eq!(claims["sub"], "system:serviceaccount:default:robot");
    assert_eq!(
        claims["kubernetes.io"],
        json!({"namespace": "default", "serviceaccount": {"name": "robot", "uid": uid}})
    );
    let who = world.who(token).await.expect(201)["status"]["userInfo"].clone();
    assert_eq!(who["username"], "system:serviceaccount:default:robot");
    assert_eq!(&who["uid"], uid);
    assert_eq!(
        who["groups"],
        json!([
            "system:serviceaccounts",
            "system:serviceaccounts:default",
            "system:authenticated"
        ])
    );
    let id = format!("JTI={}", claims["jti"].as_str().unwrap());
    assert_eq!(
        who["extra"],
        json!({"authentication.kubernetes.io/credential-id": [id]})
    );
    let reviewed = world.review(token, &[]).await;
    assert_eq!(reviewed["authenticated"], json!(true));
    assert_eq!(reviewed["audiences"], json!([ISSUER]));

    // Others find the public half, and the key's name in the token.
    let keys = world.cluster.get("/openid/v1/jwks").await;
    assert_eq!(keys.headers["content-type"], "application/jwk-set+json");
    let keys = keys.expect(200);
    assert_eq!(keys["keys"][0]["kid"], part(token, 0)["kid"]);
    let found = world
        .cluster
        .get("/.well-known/openid-configuration")
        .await
        .expect(200);
    assert_eq!(found["issuer"], ISSUER);
    assert_eq!(found["jwks_uri"], "https://test/openid/v1/jwks");
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_token_is_checked() {
    let world = world().await;
    for (spec, words) in [
        (
            json!({"expirationSeconds": 60}),
            "Invalid value: 60: may not specify a duration less than 10 minutes",
        ),
        (
            json!({"expirationSeconds": 1_u64 << 33}),
            "may not specify a duration larger than 2^32 seconds",
        ),
    ] {
        let told = world.ask(spec).await.message(422);
        assert!(
            told.starts_with("TokenRequest.authentication.k8s.io \"\" is invalid: "),
            "{told}"
        );
        assert!(told.ends_with(words), "{told}");
    }
    let bound =
        |kind: &str| json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": "x"}});
    assert_eq!(
        world.ask(bound("Pod")).await.message(404),
        "pods \"x\" not found"
    );
    assert_eq!(
        world.ask(bound("ConfigMap")).await.message(400),
        "cannot bind token to object of type /v1, Kind=ConfigMap"
    );
    let none = format!("{ACCOUNTS}/none/token");
    let told = world
        .cluster
        .post(&none, &json!({"spec": {}}))
        .await
        .message(404);
    assert_eq!(told, "serviceaccounts \"none\" not found");
    world.cluster.pod("p", &["c"]).await;
    let mut other = bound("Pod");
    other["boundObjectRef"]["name"] = json!("p");
    assert_eq!(
        world.ask(other).await.message(400),
        "cannot bind token for serviceaccount \"robot\" to pod running with different \
         serviceaccount name."
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_ours_is_refused() {
    let world = world().await;
    let token = world.token(json!({})).await;
    world.who(&token).await.expect(201);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let forged = "[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]";

    let mut admin = part(&token, 1);
    admin["kubernetes.io"]["namespace"] = json!("kube-system");
    admin["sub"] = json!("system:serviceaccount:kube-system:robot");
    let other = format!("{header}.{}.{signature}", encode(&admin));
    world.refused(&other, forged).await;
    // Nobody is believed without a signature, or with one of another kind.
    for algorithm in ["none", "None", "HS256", "RS256", "ES384"] {
        let header = encode(&json!({"alg": algorithm, "typ": "JWT"}));
        for signature in ["", signature] {
            let token = format!("{header}.{payload}.{signature}");
            let why = format!(
                "[invalid bearer token, go-jose/go-jose: unexpected signature algorithm \
                 {algorithm:?}; expected [\"ES256\"]]"
            );
            world.refused(&token, &why).await;
        }
    }
    let stranger = AccountTokens::ephemeral("https://test").unwrap();
    let theirs = stranger.kept("default", "s", ("robot", "uid")).unwrap();
    world.refused(&theirs, forged).await;
    world.refused(&format!("{signed}."), forged).await;
    world.refused(&format!("{token}A"), forged).await;
    let none = "invalid bearer token";
    let long = format!("{token}{}", "A".repeat(20_000));
    for odd in [
        "a.b.c",
        "..",
        "a",
        &format!("{token}.x"),
        &long,
        &format!("{signed}="),
        signed,
    ] {
        world.refused(odd, none).await;
    }
    let mut elsewhere = part(&token, 1);
    elsewhere["iss"] = json!("https://example.com");
    world
        .refused(
            &format!("{header}.{}.{signature}", encode(&elsewhere)),
            none,
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_token_is_for_whom_it_was_asked() {
    let world = world().await;
    let token = world.token(json!({"audiences": ["vault", "bank"]})).await;
    let why = format!(
        "[invalid bearer token, token audiences [\"vault\" \"bank\"] is invalid for the target \
         audiences [\"{ISSUER}\"]]"
    );
    world.refused(&token, &why).await;
    let reviewed = world.review(&token, &["bank", "shop"]).await;
    assert_eq!(reviewed["authenticated"], json!(true));
    assert_eq!(reviewed["audiences"], json!(["bank"]));
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_with_its_time_and_with_what_it_is_bound_to() {
    let world = world().await;
    let token = world.token(json!({"expirationSeconds": 600})).await;
    tokio::time::advance(Duration::from_secs(659)).await;
    world.who(&token).await.expect(201);
    tokio::time::advance(Duration::from_secs(2)).await;
    let why = "[invalid bearer token, service account token has expired]";
    world.refused(&token, why).await;

    let pod = json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "robot",
        "nodeName": "n", "containers": [{"name": "c", "image": "echo"}]}});
    let pods = "/api/v1/namespaces/default/pods";
    let made = world.cluster.post(pods, &pod).await.expect(201);
    let uid = &made["metadata"]["uid"];
    let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid});
    let token = world.token(json!({"boundObjectRef": reference})).await;
    let who = world.who(&token).await.expect(201)["status"]["userInfo"].clone();
    let extra = |key: &str| who["extra"][format!("authentication.kubernetes.io/{key}")][0].clone();
    assert_eq!(extra("pod-name"), "p");
    assert_eq!(&extra("pod-uid"), uid);
    assert_eq!(extra("node-name"), "n");
    let mut wrong = reference.clone();
    wrong["uid"] = json!("other");
    assert_eq!(
        world
            .ask(json!({"boundObjectRef": wrong}))
            .await
            .message(409),
        "Operation cannot be fulfilled on Pod \"p\": the UID in the bound object reference (other) \
         does not match the UID in record. The object might have been deleted and then recreated"
    );
    let gone = format!("{pods}/p?gracePeriodSeconds=0");
    world.cluster.delete(&gone).await.expect(200);
    let why = "[invalid bearer token, service account token has been invalidated]";
    world.refused(&token, why).await;
    // Another pod of the same name is another pod.
    let other = world.cluster.post(pods, &pod).await.expect(201);
    let why = format!(
        "[invalid bearer token, pod UID ({}) does not match service account pod ref claim ({})]",
        other["metadata"]["uid"].as_str().unwrap(),
        uid.as_str().unwrap()
    );
    world.refused(&token, &why).await;

    let token = world.token(json!({})).await;
    let account = format!("{ACCOUNTS}/robot");
    world.cluster.delete(&account).await.expect(200);
    let why = "[invalid bearer token, serviceaccounts \"robot\" not found]";
    world.refused(&token, why).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_gets_tokens_for_its_own_pods_only() {
    let world = world().await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "robot",
        "nodeName": "n", "containers": [{"name": "c", "image": "echo"}]}});
    let pods = "/api/v1/namespaces/default/pods";
    let made = world.cluster.post(pods, &pod).await.expect(201);
    let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": "p",
        "uid": made["metadata"]["uid"]});
    for (node, spec, status) in [
        ("n", json!({"boundObjectRef": reference}), 201),
        ("n", json!({}), 403),
        ("m", json!({"boundObjectRef": reference}), 403),
    ] {
        let user = wkube::api::UserInfo::new(&format!("system:node:{node}"), &["system:nodes"]);
        let uri = format!("{ACCOUNTS}/robot/token");
        let body = json!({"spec": spec}).to_string();
        let sent = world
            .cluster
            .send(Some(user), Method::POST, &uri, &[], body)
            .await;
        collect(sent).await.expect(status);
    }
}
