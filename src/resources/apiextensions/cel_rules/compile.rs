//! Compiles the rules of a schema into a tree that parallels it, once for a version of a
//! CustomResourceDefinition. Must not run them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Rule, additional, field_path, kind};
use crate::meta::cel::{
    self, DeclType, Env, Kind, MAX_REQUEST_SIZE, Program, Type, declared, embedded, escape,
};

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
        build(schema, schema, declared(schema, true))
    }
}

/// The rules of a schema that may be of a part of a resource.
pub(super) fn build_at(schema: &Json, root: bool) -> Option<Validator> {
    build(schema, schema, declared(schema, root))
}

/// Whether rules stand at a schema or below it, by way of its values.
pub(super) fn has_rules(schema: &Json) -> bool {
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
fn build(rules: &Json, node: &Json, of: Option<Arc<DeclType>>) -> Option<Validator> {
    let of = of?;
    let below = |rules: Option<&Json>, node: Option<&Json>| {
        let (rules, node) = (rules?, node?);
        let of = match &of.kind {
            Kind::List(element, _) | Kind::Map(element) => Some(Arc::clone(element)),
            _ => None,
        };
        build(rules, node, of).map(Box::new)
    };
    let list = |schema: &Json, name: &str| {
        let list = schema.get(name).and_then(Json::as_array);
        list.cloned().unwrap_or_default()
    };
    let by_keys = node.get("x-kubernetes-list-type").and_then(Json::as_str) == Some("map");
    let validator = Validator {
        rules: compile_all(Rule::all(rules), node, &of),
        items: below(rules.get("items"), node.get("items")),
        properties: properties(rules, node, &of),
        additional: below(additional(rules), additional(node)),
        all_of: list(rules, "allOf")
            .iter()
            .filter_map(|part| build(part, node, Some(Arc::clone(&of))))
            .collect(),
        kind: kind(node).to_owned(),
        list_keys: list(node, "x-kubernetes-list-map-keys")
            .iter()
            .filter(|_| by_keys)
            .filter_map(|key| Some(key.as_str()?.to_owned()))
            .collect(),
        of,
    };
    let empty = validator.rules.is_empty()
        && validator.items.is_none()
        && validator.properties.is_empty()
        && validator.additional.is_none()
        && validator.all_of.is_empty();
    (!empty).then_some(validator)
}

fn properties(rules: &Json, node: &Json, of: &DeclType) -> BTreeMap<String, Validator> {
    let mut found = BTreeMap::new();
    let properties = rules.get("properties").and_then(Json::as_object);
    for (name, rules) in properties.into_iter().flatten() {
        let Some(node) = node.get("properties").and_then(|all| all.get(name)) else {
            continue;
        };
        let of = match (escape(name), &of.kind) {
            (Some(escaped), Kind::Object(fields)) => {
                fields.get(&escaped).map(|(_, of)| Arc::clone(of))
            }
            // What cannot be called by its name can still have rules of its own.
            _ => declared(node, embedded(node)),
        };
        if let Some(validator) = build(rules, node, of) {
            found.insert(name.clone(), validator);
        }
    }
    found
}

/// Compiles the rules of a schema over data of its type.
pub(super) fn compile_all(rules: Vec<Rule>, schema: &Json, of: &Arc<DeclType>) -> Vec<Compiled> {
    if rules.is_empty() {
        return Vec::new();
    }
    let env = Env::new().with("self", of, SELF_TYPE);
    let optional = env.clone().with_optional("oldSelf", of, SELF_TYPE);
    let env = env.with("oldSelf", of, SELF_TYPE);
    let compile_one = |rule: Rule| {
        let env = if rule.optional_old_self == Some(true) {
            &optional
        } else {
            &env
        };
        compile(rule, schema, of, env)
    };
    rules.into_iter().map(compile_one).collect()
}

fn compile(rule: Rule, schema: &Json, of: &DeclType, env: &Env) -> Compiled {
    let bool_only = "cel expression must evaluate to a bool";
    let program = expression(env, &rule.rule, &Type::Bool, "", bool_only);
    let message = (!rule.message_expression.is_empty() && program.is_ok()).then(|| {
        expression(
            env,
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
