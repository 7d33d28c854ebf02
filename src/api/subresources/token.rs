//! `serviceaccounts/token`: a new token for an account, bound to the account and perhaps to a pod, a
//! node or a secret as well.
//! Kubernetes: registry `core/serviceaccount/storage` TokenREST.

use crate::api::authentication::{Claims, GROUP_NODES, ISSUER, Reference};
use crate::api::context::Context;
use crate::api::verbs::write::decode;
use crate::api::verbs::{Target, options, read_body};
use crate::api::{ApiServer, Body, codec, respond};
use crate::meta::{ApiError, FieldError, GroupResource, Object, time};
use crate::resources::authentication::token_request;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Serves the create of a token.
pub(super) async fn create(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept_untabled(context)?;
    let options = options::create(context)?;
    let body = read_body(server, request.into_body()).await?;
    let strict = codec::decode(context, &body)?;
    let mut wanted = decode(context, &token_request::DEF, strict, &options)?;
    check_names(target, &wanted)?;
    let (account, _) = server
        .registry
        .get(&target.def, &target.namespace, &target.name)?;

    token_request::DEF.strategy.default(&mut wanted);
    let asked = wanted.get(&["spec", "audiences"]).and_then(Value::as_array);
    if asked.is_none_or(Vec::is_empty) {
        wanted.set(&["spec", "audiences"], json!([ISSUER]));
    }
    let now = server.clock.now();
    wanted.set(&["metadata", "name"], json!(target.name));
    wanted.set(&["metadata", "namespace"], json!(target.namespace));
    let made = json!(time::rfc3339(now));
    wanted.set(&["metadata", "creationTimestamp"], made);
    let errors = token_request::DEF.strategy.validate(&wanted);
    if !errors.is_empty() {
        return Err(invalid("", &errors));
    }

    let mut claims = claims(&wanted, &account, now);
    bind(server, target, &wanted, &mut claims)?;
    restrict(context, target, &wanted, &claims)?;
    let token = server.accounts.sign(&claims).map_err(ApiError::internal)?;
    let until = claims.times.map(|(_, until)| until).unwrap_or_default();
    let until = Timestamp::from_second(until).map_err(ApiError::internal)?;
    let status = json!({ "token": token, "expirationTimestamp": time::rfc3339(until) });
    wanted.set(&["status"], status);
    respond::value(&accepted, StatusCode::CREATED, &wanted.into_value())
}

fn invalid(name: &str, errors: &[FieldError]) -> ApiError {
    let def = &token_request::DEF;
    ApiError::invalid(&def.group, &def.kind, name, errors)
}

/// Name and namespace may be left out, or are the account's.
fn check_names(target: &Target, wanted: &Object) -> Result<(), ApiError> {
    for (field, words, is, must) in [
        ("name", "name", wanted.name(), &target.name),
        (
            "namespace",
            "namespace",
            wanted.namespace(),
            &target.namespace,
        ),
    ] {
        if !is.is_empty() && is != must {
            let detail = format!("must match the service account {words} if specified");
            let error = FieldError::invalid(format!("metadata.{field}"), is, detail);
            return Err(invalid(&target.name, &[error]));
        }
    }
    Ok(())
}

fn claims(wanted: &Object, account: &Object, now: Timestamp) -> Claims {
    let audiences = wanted.get(&["spec", "audiences"]).and_then(Value::as_array);
    let audiences = audiences.into_iter().flatten().filter_map(Value::as_str);
    let seconds = token_request::seconds(wanted).unwrap_or_default();
    let made = now.as_second();
    Claims {
        id: uuid::Uuid::new_v4().to_string(),
        audiences: audiences.map(str::to_owned).collect(),
        times: Some((made, made.saturating_add(seconds))),
        namespace: account.namespace().to_owned(),
        account: reference(account),
        ..Claims::default()
    }
}

fn reference(object: &Object) -> Reference {
    Reference {
        name: object.name().to_owned(),
        uid: object.uid().to_owned(),
    }
}

/// A node gets tokens for the pods that run on it, and for nobody else.
/// Kubernetes: admission plugin NodeRestriction.
fn restrict(
    context: &Context,
    target: &Target,
    wanted: &Object,
    claims: &Claims,
) -> Result<(), ApiError> {
    let user = &context.user;
    let Some(node) = user.name.strip_prefix("system:node:") else {
        return Ok(());
    };
    if !user.is_in(GROUP_NODES) {
        return Ok(());
    }
    let bound = wanted.str_at(&["spec", "boundObjectRef", "uid"]);
    let runs_on = claims.node.as_ref().map(|node| node.name.as_str());
    let why = match &claims.pod {
        None => "node requested token not bound to a pod",
        Some(_) if bound.is_empty() => "node requested token with a pod binding without a uid",
        Some(_) if runs_on != Some(node) => {
            "node requested token bound to a pod scheduled on a different node"
        }
        Some(_) => return Ok(()),
    };
    let of = target.def.group_resource();
    Err(ApiError::forbidden(&of, &target.name, why))
}

/// Binds the token to the object that the request names.
fn bind(
    server: &ApiServer,
    target: &Target,
    wanted: &Object,
    claims: &mut Claims,
) -> Result<(), ApiError> {
    if wanted.get(&["spec", "boundObjectRef"]).is_none() {
        return Ok(());
    }
    let text = |field: &str| wanted.str_at(&["spec", "boundObjectRef", field]);
    let (version, kind, name, uid) = (text("apiVersion"), text("kind"), text("name"), text("uid"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let find = |plural: &str, name: &str| -> Result<Object, ApiError> {
        let scheme = server.registry.scheme();
        let def = scheme.resource("", "v1", plural);
        let def = def.ok_or_else(|| ApiError::internal(format!("{plural} are not served")))?;
        let namespace = if def.is_namespaced() {
            target.namespace.as_str()
        } else {
            ""
        };
        Ok(server.registry.get(def, namespace, name)?.0)
    };
    let found = match (group, kind) {
        ("", "Pod") => {
            let pod = find("pods", name)?;
            if pod.str_at(&["spec", "serviceAccountName"]) != target.name {
                return Err(ApiError::bad_request(format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different \
                     serviceaccount name.",
                    target.name
                )));
            }
            claims.pod = Some(reference(&pod));
            let node = pod.str_at(&["spec", "nodeName"]);
            if !node.is_empty() {
                // A node that is gone is still told by its name.
                claims.node = Some(find("nodes", node).map_or_else(
                    |_| Reference {
                        name: node.to_owned(),
                        uid: String::new(),
                    },
                    |node| reference(&node),
                ));
            }
            pod
        }
        ("", "Node") => {
            let node = find("nodes", name)?;
            claims.node = Some(reference(&node));
            node
        }
        ("", "Secret") => {
            let secret = find("secrets", name)?;
            claims.secret = Some(reference(&secret));
            secret
        }
        _ => {
            return Err(ApiError::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    };
    if !uid.is_empty() && uid != found.uid() {
        let of = GroupResource {
            group: String::new(),
            resource: kind.to_owned(),
        };
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The \
             object might have been deleted and then recreated"
        );
        return Err(ApiError::conflict(&of, name, &why));
    }
    Ok(())
}
