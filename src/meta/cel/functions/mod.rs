//! The functions that expressions call, one file a family. Each looks at the values it is given,
//! for types may be known only now. Must not know types or trees.

mod convert;
mod duration;
mod formatting;
mod libraries;
mod lists;
mod net;
mod operators;
mod strings;
mod time;

pub(super) use convert::{bytes_of_base64, text};
pub(super) use duration::loose_duration;
pub(super) use formatting::{STRING_CLAUSE, parse_clause};

use super::eval::Machine;
use super::value::{Failure, Outcome, Value};

/// A function. The machine lends its limit on walking values.
pub(super) type Function = fn(&mut Machine<'_>, &[Value]) -> Outcome;

/// A function by its name, with the name in a form that lives on.
pub(super) fn find(name: &str) -> Option<(&'static str, Function)> {
    let families = [
        operators::find,
        convert::find,
        strings::find,
        lists::find,
        time::find,
        libraries::find,
        net::find,
    ];
    let function = families.iter().find_map(|family| family(name))?;
    let (name, _) = super::decls::FUNCTIONS.get_key_value(name)?;
    Some((name, function))
}

/// A function by its name and, where that makes a difference, its overload.
pub(super) fn find_for(name: &str, overload: &str) -> Option<(&'static str, Function)> {
    let (name, function) = find(name)?;
    let function: Function = match overload {
        "list_uint_sum_uint" => |machine, args| lists::sum(machine, args, Value::Uint(0)),
        "list_double_sum_double" => |machine, args| lists::sum(machine, args, Value::Double(0.0)),
        "list_duration_sum_duration" => {
            |machine, args| lists::sum(machine, args, Value::Duration(0))
        }
        "cidr_ip" => |machine, args| match args {
            [Value::Cidr(..)] => net::ip(machine, args),
            _ => unfit(),
        },
        _ => function,
    };
    Some((name, function))
}

/// What a function given values of no use to it says.
fn unfit() -> Outcome {
    Err(Failure::Unfit)
}

/// A number that counts something.
fn count(n: usize) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}
