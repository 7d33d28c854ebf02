//! Compiles the rules of a schema into a tree that parallels it, once for a version of a
//! CustomResourceDefinition. Must not run them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Rule, additional, field_path, kind};
use crate::meta::cel::{self, DeclType, Env, MAX_REQUEST_SIZE, Program, Type, declared, embedded};

/// What errors call the objects of a schema.
const SELF_TYPE: &str = "selfType";

/// The compiled rules of a schema and of all below it.
#[derive(Debug)]
pub struct Validator {
    pub(super) rules: Vec<Compiled>,
    pub(super) items: Option<Box<Validator>>,
    pub(super) properties: BTreeMap<String, Validator>,
    pub(super) additional: Option<Box<Validator>>,
    pub(super) all_of: Vec<Validator>,
    /// The type of data, to make values of it.
    pub(super) of: Arc<DeclType>,
    /// The schema's `type`.
    pub(super) kind: String,
    /// The keys by which items find their old ones.
    pub(super) list_keys: Vec<String>,
    /// The schema, to tell what of an object is as it was.
    pub(super) schema: Arc<Json>,
}

/// A rule, compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) rule: Rule,
    pub(super) program: Result<Program, String>,
    pub(super) message: Option<Result<Program, String>>,
    pub(super) uses_old_self: bool,
    /// The path that the rule's errors are told at, below the rule's own.
    pub(super) field_path: String,
    /// How often at most data of this schema fits into a request.
    pub(super) cardinality: u64,
}

impl Validator {
    /// The rules of a version's whole schema; none if there are none.
    pub fn of(schema: &Json) -> Option<Self> {
        if !has_rules(schema) {
            return None;
        }
        build(schema, schema, true)
    }
}

/// The rules of a schema that may be of a part of a resource.
#[cfg(test)]
pub(super) fn build_at(schema: &Json, root: bool) -> Option<Validator> {
    build(schema, schema, root)
}

/// Whether rules stand at a schema or below it, by way of its values.
fn has_rules(schema: &Json) -> bool {
    let here = schema
        .get("x-kubernetes-validations")
        .and_then(Json::as_array);
    let below = |child: Option<&Json>| child.is_some_and(has_rules);
    here.is_some_and(|rules| !rules.is_empty())
        || below(schema.get("items"))
        || below(additional(schema))
        || schema
            .get("properties")
            .and_then(Json::as_object)
            .is_some_and(|properties| properties.values().any(has_rules))
}

/// `rules` is the schema with the rules, `node` the one with the types: below `allOf` they differ.
fn build(rules: &Json, node: &Json, root: bool) -> Option<Validator> {
    let of = declared(node, root)?;
    let child = |rules: Option<&Json>, node: Option<&Json>| {
        let node = node?;
        build(rules?, node, embedded(node)).map(Box::new)
    };
    let mut properties = BTreeMap::new();
    for (name, rules) in rules
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
    {
        let node = node
            .get("properties")
            .and_then(|properties| properties.get(name));
        if let Some(found) = node.and_then(|node| build(rules, node, embedded(node))) {
            properties.insert(name.clone(), found);
        }
    }
    let all_of = rules.get("allOf").and_then(Json::as_array);
    let keys = node
        .get("x-kubernetes-list-map-keys")
        .and_then(Json::as_array);
    let by_keys = node.get("x-kubernetes-list-type").and_then(Json::as_str) == Some("map");
    let validator = Validator {
        rules: Rule::all(rules)
            .into_iter()
            .map(|rule| compile(rule, node, &of))
            .collect(),
        items: child(rules.get("items"), node.get("items")),
        properties,
        additional: child(additional(rules), additional(node)),
        all_of: all_of
            .into_iter()
            .flatten()
            .filter_map(|part| build(part, node, root))
            .collect(),
        of,
        kind: kind(node).to_owned(),
        list_keys: keys
            .into_iter()
            .flatten()
            .filter(|_| by_keys)
            .filter_map(|key| Some(key.as_str()?.to_owned()))
            .collect(),
        schema: Arc::new(node.clone()),
    };
    let empty = validator.rules.is_empty()
        && validator.items.is_none()
        && validator.properties.is_empty()
        && validator.additional.is_none()
        && validator.all_of.is_empty();
    (!empty).then_some(validator)
}

/// Compiles a rule over data of a type.
pub(super) fn compile(rule: Rule, schema: &Json, of: &Arc<DeclType>) -> Compiled {
    let mut env = Env::new().with("self", of, SELF_TYPE);
    env = if rule.optional_old_self == Some(true) {
        env.with_optional("oldSelf", of, SELF_TYPE)
    } else {
        env.with("oldSelf", of, SELF_TYPE)
    };
    let program = expression(
        &env,
        &rule.rule,
        &Type::Bool,
        "",
        "cel expression must evaluate to a bool",
    );
    let message = (!rule.message_expression.is_empty() && program.is_ok()).then(|| {
        expression(
            &env,
            &rule.message_expression,
            &Type::String,
            "messageExpression ",
            "messageExpression must evaluate to a string",
        )
    });
    Compiled {
        uses_old_self: program
            .as_ref()
            .is_ok_and(|program| program.uses("oldSelf")),
        field_path: field_path::valid(&rule.field_path, schema).unwrap_or_default(),
        cardinality: MAX_REQUEST_SIZE / (of.min_size + 1),
        program,
        message,
        rule,
    }
}

fn expression(
    env: &Env,
    source: &str,
    wanted: &Type,
    what: &str,
    otherwise: &str,
) -> Result<Program, String> {
    match env.compile(source) {
        Ok(program) if program.output() == wanted => Ok(program),
        Ok(_) => Err(otherwise.to_owned()),
        Err(cel::CompileError::Plan(why)) if !what.is_empty() => {
            Err(format!("messageExpression instantiation failed: {why}"))
        }
        Err(why) => Err(format!("{what}{why}")),
    }
}
