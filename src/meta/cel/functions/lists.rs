//! Functions of lists: Kubernetes' list library, cel-go's `ext/lists` version 3 and `ext/sets`,
//! and those of optionals in lists.

use std::cmp::Ordering;

use super::strings::{index_of, last_index_of};
use super::{Function, Machine, count, unfit};
use crate::meta::cel::env::PER_CALL_LIMIT;
use crate::meta::cel::value::{
    Failure, MAX_ELEMENTS, Outcome, Value, Work, compare, contains, equal,
};

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "isSorted" => is_sorted,
        "sum" => |machine, args| sum(machine, args, Value::Int(0)),
        "max" => |_, args| extreme(args, "max", Ordering::Greater),
        "min" => |_, args| extreme(args, "min", Ordering::Less),
        "indexOf" => |machine, args| position(machine, args, false),
        "lastIndexOf" => |machine, args| position(machine, args, true),
        "slice" => slice,
        "flatten" => flatten,
        "sort" => |machine, args| match args {
            [Value::List(list)] => sort(machine, &list.items, &list.items),
            _ => unfit(),
        },
        "@sortByAssociatedKeys" => |machine, args| match args {
            [Value::List(list), Value::List(keys)] => sort(machine, &list.items, &keys.items),
            _ => unfit(),
        },
        "lists.range" => range,
        "reverse" => |_, args| match args {
            [Value::List(list)] => Ok(Value::list(list.items.iter().rev().cloned().collect())),
            _ => unfit(),
        },
        "distinct" => distinct,
        "first" => |_, args| end(args, <[Value]>::first),
        "last" => |_, args| end(args, <[Value]>::last),
        "optional.unwrap" | "unwrapOpt" => unwrap,
        "sets.contains" => |machine, args| match args {
            [Value::List(a), Value::List(b)] => {
                Ok(Value::Bool(holds(&a.items, &b.items, &mut machine.work)?))
            }
            _ => unfit(),
        },
        "sets.equivalent" => |machine, args| match args {
            [Value::List(a), Value::List(b)] => Ok(Value::Bool(
                holds(&a.items, &b.items, &mut machine.work)?
                    && holds(&b.items, &a.items, &mut machine.work)?,
            )),
            _ => unfit(),
        },
        "sets.intersects" => intersects,
        _ => return None,
    })
}

fn is_sorted(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let [Value::List(list)] = args else {
        return unfit();
    };
    let mut before: Option<&Value> = None;
    for item in &list.items {
        if let Some(before) = before
            && compare(before, item) == Ok(Ordering::Greater)
        {
            return Ok(Value::Bool(false));
        }
        before = Some(item);
    }
    Ok(Value::Bool(true))
}

/// The sum, or `zero` where the list is empty.
pub(super) fn sum(machine: &mut Machine<'_>, args: &[Value], zero: Value) -> Outcome {
    let [Value::List(list)] = args else {
        return unfit();
    };
    let Some((_, add)) = super::find("_+_") else {
        return unfit();
    };
    let mut items = list.items.iter();
    let Some(first) = items.next() else {
        return Ok(zero);
    };
    let mut total = match (zero, first) {
        // What is added to nothing is no negative nothing.
        (Value::Double(zero), Value::Double(first)) => Value::Double(zero + first),
        (_, first) => first.clone(),
    };
    for item in items {
        total = add(machine, &[total, item.clone()])?;
    }
    Ok(total)
}

fn extreme(args: &[Value], name: &str, wanted: Ordering) -> Outcome {
    let [Value::List(list)] = args else {
        return unfit();
    };
    let mut best: Option<&Value> = None;
    for item in &list.items {
        let better = match best {
            Some(best) => compare(item, best) == Ok(wanted),
            None => true,
        };
        if better {
            best = Some(item);
        }
    }
    best.cloned()
        .ok_or_else(|| Failure::new(format!("{name} called on empty list")))
}

fn position(machine: &mut Machine<'_>, args: &[Value], last: bool) -> Outcome {
    let text = if last { last_index_of } else { index_of };
    match args {
        [Value::String(s), Value::String(part)] => text(s, part, None),
        [Value::String(s), Value::String(part), Value::Int(from)] => text(s, part, Some(*from)),
        [Value::List(list), item] => {
            let mut found = None;
            for (at, other) in list.items.iter().enumerate() {
                if equal(other, item, &mut machine.work)? {
                    found = Some(at);
                    if !last {
                        break;
                    }
                }
            }
            Ok(found.map_or(Value::Int(-1), count))
        }
        _ => unfit(),
    }
}

fn slice(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = args else {
        return unfit();
    };
    let fail = |why: String| Err(Failure::new(format!("cannot slice({start}, {end}), {why}")));
    let (Ok(from), Ok(to)) = (usize::try_from(*start), usize::try_from(*end)) else {
        return fail("negative indexes not supported".to_owned());
    };
    if from > to {
        return fail("start index must be less than or equal to end index".to_owned());
    }
    match list.items.get(from..to) {
        Some(part) => Ok(Value::list(part.to_vec())),
        None => fail(format!("list is length {}", list.items.len())),
    }
}

fn flatten(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    fn add(into: &mut Vec<Value>, items: &[Value], depth: i64) -> Result<(), Failure> {
        for item in items {
            match item {
                Value::List(inner) if depth > 0 => add(into, &inner.items, depth - 1)?,
                _ => into.push(item.clone()),
            }
            if into.len() > MAX_ELEMENTS {
                return Err(Failure::Cancelled);
            }
        }
        Ok(())
    }
    let (list, depth) = match args {
        [Value::List(list)] => (list, 1),
        [Value::List(list), Value::Int(depth)] => (list, *depth),
        _ => return unfit(),
    };
    if depth < 0 {
        return Err(Failure::new("level must be non-negative"));
    }
    let mut items = Vec::new();
    add(&mut items, &list.items, depth)?;
    Ok(Value::list(items))
}

fn sort(machine: &mut Machine<'_>, items: &[Value], keys: &[Value]) -> Outcome {
    if items.len() != keys.len() {
        return Err(Failure::new(format!(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys \
             list, but got {} and {} elements respectively",
            items.len(),
            keys.len()
        )));
    }
    let Some(first) = keys.first() else {
        return Ok(Value::list(Vec::new()));
    };
    if keys.iter().any(|key| key.type_name() != first.type_name()) {
        return Err(Failure::new("list elements must have the same type"));
    }
    if !first.is_comparable() {
        return Err(Failure::new("list elements must be comparable"));
    }
    machine.work.step(items.len() as u64 * 16)?;
    let mut pairs: Vec<(&Value, &Value)> = keys.iter().zip(items).collect();
    if keys.iter().any(|key| compare(key, key).is_err()) {
        insertion_sort(machine, &mut pairs)?;
    } else {
        pairs.sort_by(|a, b| compare(a.0, b.0).unwrap_or(Ordering::Equal));
    }
    Ok(Value::list(
        pairs.into_iter().map(|(_, item)| item.clone()).collect(),
    ))
}

/// Sorts what has no order throughout: a number that is none stays where it is.
fn insertion_sort(
    machine: &mut Machine<'_>,
    pairs: &mut [(&Value, &Value)],
) -> Result<(), Failure> {
    machine.work.step((pairs.len() as u64).saturating_pow(2))?;
    for end in 1..pairs.len() {
        for at in (1..=end).rev() {
            let less = match pairs.get(at - 1..=at) {
                Some([before, after]) => compare(after.0, before.0) == Ok(Ordering::Less),
                _ => false,
            };
            if !less {
                break;
            }
            pairs.swap(at - 1, at);
        }
    }
    Ok(())
}

fn range(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let [Value::Int(n)] = args else {
        return unfit();
    };
    // Each element costs one: a longer list is beyond any budget, and need not be made to see it.
    if u64::try_from(*n).is_ok_and(|n| n > PER_CALL_LIMIT) {
        return Err(Failure::Cancelled);
    }
    Ok(Value::list((0..*n).map(Value::Int).collect()))
}

fn distinct(machine: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let [Value::List(list)] = args else {
        return unfit();
    };
    let mut unique: Vec<Value> = Vec::new();
    for item in &list.items {
        if !contains(&unique, item, &mut machine.work)? {
            unique.push(item.clone());
        }
    }
    Ok(Value::list(unique))
}

fn end(args: &[Value], pick: fn(&[Value]) -> Option<&Value>) -> Outcome {
    let [Value::List(list)] = args else {
        return unfit();
    };
    Ok(pick(&list.items).map_or(Value::Optional(None), |v| Value::some(v.clone())))
}

fn unwrap(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let [Value::List(list)] = args else {
        return unfit();
    };
    let mut items = Vec::new();
    for item in &list.items {
        match item {
            Value::Optional(Some(inner)) => items.push((**inner).clone()),
            Value::Optional(None) => {}
            _ => return unfit(),
        }
    }
    Ok(Value::list(items))
}

/// Whether a list has all elements of another.
fn holds(list: &[Value], others: &[Value], work: &mut Work) -> Result<bool, Failure> {
    for item in others {
        if !contains(list, item, work)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn intersects(machine: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let [Value::List(a), Value::List(b)] = args else {
        return unfit();
    };
    for item in &a.items {
        if contains(&b.items, item, &mut machine.work)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}
