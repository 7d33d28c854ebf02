//! Operators: arithmetic that fails on overflow, comparison, membership, size.

use std::cmp::Ordering;

use super::{Function, Machine, count, unfit};
use crate::meta::cel::instant::Instant;
use crate::meta::cel::value::{Failure, MAX_STRING, Outcome, Value, compare, concat, contains};

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "_+_" => add,
        "_-_" => subtract,
        "_*_" => multiply,
        "_/_" => divide,
        "_%_" => modulo,
        "-_" => negate,
        "!_" => not,
        "_<_" => |_, args| ordered(args, |o| o == Ordering::Less),
        "_<=_" => |_, args| ordered(args, |o| o != Ordering::Greater),
        "_>_" => |_, args| ordered(args, |o| o == Ordering::Greater),
        "_>=_" => |_, args| ordered(args, |o| o != Ordering::Less),
        "@in" => is_in,
        "size" => size,
        "cel.@mapInsert" => |_, _| unfit(),
        _ => return None,
    })
}

fn int(value: Option<i64>) -> Outcome {
    value
        .map(Value::Int)
        .ok_or_else(|| Failure::new("integer overflow"))
}

fn uint(value: Option<u64>) -> Outcome {
    value
        .map(Value::Uint)
        .ok_or_else(|| Failure::new("unsigned integer overflow"))
}

fn duration(value: Option<i64>) -> Outcome {
    value
        .map(Value::Duration)
        .ok_or_else(|| Failure::new("integer overflow"))
}

fn moved(from: Instant, nanos: i128) -> Outcome {
    from.plus(nanos)
        .map(Value::Timestamp)
        .ok_or_else(|| Failure::new("timestamp overflow"))
}

fn add(machine: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_add(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_add(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a + b)),
        [Value::String(a), Value::String(b)] => {
            if a.len() + b.len() > MAX_STRING {
                return Err(Failure::Cancelled);
            }
            Ok(Value::from(format!("{a}{b}")))
        }
        [Value::Bytes(a), Value::Bytes(b)] => {
            if a.len() + b.len() > MAX_STRING {
                return Err(Failure::Cancelled);
            }
            Ok(Value::Bytes([a.as_ref(), b.as_ref()].concat().into()))
        }
        [Value::List(a), Value::List(b)] => concat(a, b, &mut machine.work),
        [Value::Duration(a), Value::Duration(b)] => duration(a.checked_add(*b)),
        [Value::Timestamp(t), Value::Duration(d)] | [Value::Duration(d), Value::Timestamp(t)] => {
            moved(*t, i128::from(*d))
        }
        _ => unfit(),
    }
}

fn subtract(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_sub(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_sub(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a - b)),
        [Value::Duration(a), Value::Duration(b)] => duration(a.checked_sub(*b)),
        [Value::Timestamp(t), Value::Duration(d)] => match d.checked_neg() {
            Some(back) => moved(*t, i128::from(back)),
            None => duration(None),
        },
        [Value::Timestamp(a), Value::Timestamp(b)] => {
            duration(i64::try_from(a.nanos() - b.nanos()).ok())
        }
        _ => unfit(),
    }
}

fn multiply(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_mul(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_mul(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a * b)),
        _ => unfit(),
    }
}

fn divide(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            Err(Failure::new("division by zero"))
        }
        [Value::Int(a), Value::Int(b)] => int(a.checked_div(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_div(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a / b)),
        _ => unfit(),
    }
}

fn modulo(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            Err(Failure::new("modulus by zero"))
        }
        [Value::Int(a), Value::Int(b)] => int(a.checked_rem(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_rem(*b)),
        _ => unfit(),
    }
}

fn negate(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Int(a)] => int(a.checked_neg()),
        [Value::Double(a)] => Ok(Value::Double(-a)),
        [Value::Duration(a)] => duration(a.checked_neg()),
        _ => unfit(),
    }
}

fn not(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Bool(a)] => Ok(Value::Bool(!a)),
        _ => unfit(),
    }
}

fn ordered(args: &[Value], test: impl Fn(Ordering) -> bool) -> Outcome {
    match args {
        [a, b] => match compare(a, b) {
            Err(why) if why == Failure::no_overload() => unfit(),
            order => Ok(Value::Bool(test(order?))),
        },
        _ => unfit(),
    }
}

fn is_in(machine: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [item, Value::List(list)] => {
            Ok(Value::Bool(contains(&list.items, item, &mut machine.work)?))
        }
        [key, Value::Map(map)] => Ok(Value::Bool(map.get(key).is_some())),
        _ => unfit(),
    }
}

fn size(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    Ok(match args {
        [Value::String(s)] => count(s.chars().count()),
        [Value::Bytes(b)] => count(b.len()),
        [Value::List(list)] => count(list.items.len()),
        [Value::Map(map)] => count(map.len()),
        _ => return unfit(),
    })
}
