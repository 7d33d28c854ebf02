//! Kubernetes' libraries of URLs, quantities, semantic versions and named formats.

use std::sync::Arc;

use super::{Function, Machine, unfit};
use crate::meta::cel::format::named;
use crate::meta::cel::semver::Semver;
use crate::meta::cel::url::Url;
use crate::meta::cel::value::{Failure, Key, Map, Outcome, Value};
use crate::meta::quantity::{self, Quantity};

pub(super) fn find(name: &str) -> Option<Function> {
    if name.starts_with("format.") {
        return constant_format(name);
    }
    Some(match name {
        "url" => |_, args| match args {
            [Value::String(s)] => Url::parse_request(s)
                .map(|url| Value::Url(Arc::new(url)))
                .map_err(|why| {
                    Failure::new(format!(
                        "URL parse error during conversion from string: {why}"
                    ))
                }),
            _ => unfit(),
        },
        "isURL" => |_, args| match args {
            [Value::String(s)] => Ok(Value::Bool(Url::parse_request(s).is_ok())),
            _ => unfit(),
        },
        "getScheme" => |_, args| url(args, Url::scheme),
        "getHost" => |_, args| url(args, Url::host),
        "getHostname" => |_, args| url(args, Url::hostname),
        "getPort" => |_, args| url(args, Url::port),
        "getEscapedPath" => |_, args| url(args, Url::escaped_path),
        "getQuery" => query,
        "quantity" => |_, args| match args {
            [Value::String(s)] => Ok(Value::Quantity(quantity_of(s)?)),
            _ => unfit(),
        },
        "isQuantity" => |_, args| match args {
            [Value::String(s)] => Ok(Value::Bool(quantity_of(s).is_ok())),
            _ => unfit(),
        },
        "sign" => |_, args| match args {
            [Value::Quantity(q)] if q.is_zero() => Ok(Value::Int(0)),
            [Value::Quantity(q)] => Ok(Value::Int(if q.is_negative() { -1 } else { 1 })),
            _ => unfit(),
        },
        "asInteger" => as_integer,
        "isInteger" => |_, args| match args {
            [Value::Quantity(q)] => Ok(Value::Bool(whole(q).is_some())),
            _ => unfit(),
        },
        "asApproximateFloat" => |_, args| match args {
            [Value::Quantity(q)] => Ok(Value::Double(q.approximate())),
            _ => unfit(),
        },
        "add" => |_, args| joined(args, Quantity::plus),
        "sub" => |_, args| joined(args, Quantity::minus),
        "isGreaterThan" => |_, args| compared(args, |o| Value::Bool(o.is_gt())),
        "isLessThan" => |_, args| compared(args, |o| Value::Bool(o.is_lt())),
        "compareTo" => |_, args| compared(args, |o| Value::Int(o as i64)),
        "semver" => |_, args| {
            semver(args)?
                .map(|version| Value::Semver(Arc::new(version)))
                .map_err(Failure::Error)
        },
        "isSemver" => |_, args| Ok(Value::Bool(semver(args)?.is_ok())),
        "major" => |_, args| number(args, |v| v.major),
        "minor" => |_, args| number(args, |v| v.minor),
        "patch" => |_, args| number(args, |v| v.patch),
        "validate" => |_, args| match args {
            [Value::Format(format), Value::String(s)] => {
                let errors = (format.check)(s);
                if errors.is_empty() {
                    return Ok(Value::Optional(None));
                }
                Ok(Value::some(Value::strings(errors)))
            }
            _ => unfit(),
        },
        _ => return None,
    })
}

fn constant_format(name: &str) -> Option<Function> {
    Some(match name {
        "format.named" => |_, args| match args {
            [Value::String(s)] => {
                Ok(named(s).map_or(Value::Optional(None), |f| Value::some(Value::Format(f))))
            }
            _ => unfit(),
        },
        "format.dns1123Label" => |_, _| known("dns1123Label"),
        "format.dns1123Subdomain" => |_, _| known("dns1123Subdomain"),
        "format.dns1035Label" => |_, _| known("dns1035Label"),
        "format.qualifiedName" => |_, _| known("qualifiedName"),
        "format.dns1123LabelPrefix" => |_, _| known("dns1123LabelPrefix"),
        "format.dns1123SubdomainPrefix" => |_, _| known("dns1123SubdomainPrefix"),
        "format.dns1035LabelPrefix" => |_, _| known("dns1035LabelPrefix"),
        "format.labelValue" => |_, _| known("labelValue"),
        "format.uri" => |_, _| known("uri"),
        "format.uuid" => |_, _| known("uuid"),
        "format.byte" => |_, _| known("byte"),
        "format.date" => |_, _| known("date"),
        "format.datetime" => |_, _| known("datetime"),
        _ => return None,
    })
}

fn known(name: &str) -> Outcome {
    named(name).map_or_else(unfit, |format| Ok(Value::Format(format)))
}

fn url(args: &[Value], part: impl Fn(&Url) -> String) -> Outcome {
    match args {
        [Value::Url(url)] => Ok(Value::from(part(url))),
        _ => unfit(),
    }
}

fn query(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let [Value::Url(url)] = args else {
        return unfit();
    };
    let mut map = Map::default();
    for (name, values) in url.query() {
        let key = Value::from(name.as_str());
        map.0.insert(
            Key::String(name.as_str().into()),
            (key, Value::strings(values)),
        );
    }
    Ok(Value::Map(Arc::new(map)))
}

/// Reads a quantity; space round it, which JSON allows, is none here.
fn quantity_of(text: &str) -> Result<Quantity, Failure> {
    if text.trim() != text {
        return Err(Failure::new(quantity::QuantityError::Format.to_string()));
    }
    Quantity::parse(text).map_err(|why| Failure::new(why.to_string()))
}

/// The whole number that a quantity is.
fn whole(q: &Quantity) -> Option<i64> {
    let value = q.value();
    let fits = q.is_integer() && Quantity::from_units(value, q.format()) == *q;
    fits.then_some(value)
}

fn as_integer(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Quantity(q)] => whole(q)
            .map(Value::Int)
            .ok_or_else(|| Failure::new("cannot convert value to integer")),
        _ => unfit(),
    }
}

fn joined(args: &[Value], join: impl Fn(&Quantity, &Quantity) -> Quantity) -> Outcome {
    match args {
        [Value::Quantity(a), Value::Quantity(b)] => Ok(Value::Quantity(join(a, b))),
        [Value::Quantity(a), Value::Int(b)] => {
            let b = Quantity::from_units(*b, quantity::Format::DecimalExponent);
            Ok(Value::Quantity(join(a, &b)))
        }
        _ => unfit(),
    }
}

fn compared(args: &[Value], tell: impl Fn(std::cmp::Ordering) -> Value) -> Outcome {
    match args {
        [Value::Quantity(a), Value::Quantity(b)] => Ok(tell(a.cmp(b))),
        [Value::Semver(a), Value::Semver(b)] => Ok(tell(a.cmp_version(b))),
        _ => unfit(),
    }
}

fn semver(args: &[Value]) -> Result<Result<Semver, String>, Failure> {
    match args {
        [Value::String(s)] | [Value::String(s), Value::Bool(false)] => Ok(Semver::parse(s)),
        [Value::String(s), Value::Bool(true)] => Ok(Semver::parse_loose(s)),
        _ => Err(Failure::Unfit),
    }
}

fn number(args: &[Value], part: impl Fn(&Semver) -> u64) -> Outcome {
    match args {
        [Value::Semver(version)] => {
            Ok(Value::Int(i64::try_from(part(version)).unwrap_or(i64::MAX)))
        }
        _ => unfit(),
    }
}
