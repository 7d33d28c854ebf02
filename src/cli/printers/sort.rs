//! `--sort-by`: objects in the order of a field. Must not know how they are shown.
//! Kubernetes: kubectl's `RuntimeSort`.

use crate::cli::context::CliError;
use crate::meta::Quantity;
use crate::meta::jsonpath::JsonPath;
use serde_json::Value;
use std::cmp::Ordering;

/// The field that orders.
#[derive(Clone, Debug)]
pub(crate) struct SortBy(JsonPath);

impl SortBy {
    /// Reads `.metadata.name` or `{.metadata.name}`.
    pub(crate) fn parse(path: &str) -> Result<Self, CliError> {
        JsonPath::parse_relaxed(path)
            .map(Self)
            .map_err(CliError::new)
    }

    /// Sorts `items`, of which `object` answers the object; what has no such field comes first.
    pub(crate) fn sort<T>(
        &self,
        items: &mut [T],
        object: impl Fn(&T) -> &Value,
    ) -> Result<(), CliError> {
        let mut keys = Vec::with_capacity(items.len());
        for item in items.iter() {
            let found = self.0.find(object(item), true).map_err(CliError::new)?;
            keys.push(found.first().map(|value| (*value).clone()));
        }
        let mut order: Vec<usize> = (0..items.len()).collect();
        let key = |at: &usize| keys.get(*at).and_then(Option::as_ref);
        order.sort_by(|a, b| compare(key(a), key(b)));
        // Each item goes to where the order wants it.
        let mut place = vec![0; order.len()];
        for (to, from) in order.iter().enumerate() {
            if let Some(slot) = place.get_mut(*from) {
                *slot = to;
            }
        }
        for at in 0..place.len() {
            while let Some(to) = place.get(at).copied().filter(|to| *to != at) {
                items.swap(at, to);
                place.swap(at, to);
            }
        }
        Ok(())
    }
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::String(a)), Some(Value::String(b))) => {
            match (Quantity::parse(a), Quantity::parse(b)) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => natural(a, b),
            }
        }
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            let (a, b) = (a.as_f64(), b.as_f64());
            a.partial_cmp(&b).unwrap_or(Ordering::Equal)
        }
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// Text in which runs of digits are ordered by the number they are.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.chars().peekable(), b.chars().peekable());
    let run = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
        let mut digits = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        let plain = digits.trim_start_matches('0');
        (plain.len(), plain.to_owned(), digits.len())
    };
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return Ordering::Equal,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                run(&mut a).cmp(&run(&mut b))
            }
            _ => a.next().cmp(&b.next()),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn by_text_number_and_quantity() {
        let sorted = |mut items: Vec<Value>| {
            let by = SortBy::parse(".a").unwrap();
            by.sort(&mut items, |item| item).unwrap();
            let shown = items.iter().map(|item| item["a"].clone());
            Value::Array(shown.collect())
        };
        let of = |values: Value| -> Vec<Value> {
            let values = values.as_array().unwrap().clone();
            values.into_iter().map(|v| json!({ "a": v })).collect()
        };
        assert_eq!(
            sorted(of(json!(["pod10", "pod9", "a"]))),
            json!(["a", "pod9", "pod10"])
        );
        assert_eq!(
            sorted(of(json!(["1Gi", "500Mi", "2Ki"]))),
            json!(["2Ki", "500Mi", "1Gi"])
        );
        let mut some = of(json!([3, 1, 2]));
        some.push(json!({}));
        assert_eq!(sorted(some), json!([null, 1, 2, 3]));
    }
}
