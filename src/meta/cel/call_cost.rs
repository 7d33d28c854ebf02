//! What calls cost at least and at most, told from the sizes of their arguments. Must not run
//! anything.
//!
//! Kubernetes: apiserver `pkg/cel/library/cost.go` (`EstimateCallCost`), cel-go
//! `checker/cost.go` (`functionCost`), `ext/lists.go`, `ext/sets.go`. A change here changes
//! which rules are accepted.

use super::ast::{ExprKind, Literal};
use super::cost::{Arg, Coster, Range};
use super::runtime_cost::{PATTERN, TRAVERSE};
use super::types::Type;

/// A cost, and the size of the result where it is known.
type Estimate = (Range, Option<Range>);

/// A call of which the cost is asked.
pub(super) struct Call<'c, 'a> {
    pub function: &'c str,
    pub overload: &'c str,
    pub target: Option<&'c Arg<'a>>,
    pub args: &'c [Arg<'a>],
}

const ONE: Range = Range::fixed(1);
/// Size of an address's octets.
const OCTETS: Range = Range { min: 4, max: 16 };
/// Length of the longest pattern of a named format.
const FORMAT_PATTERN: f64 = 128.0;
/// Length of the longest name of a format.
const FORMAT_NAME: u64 = 64;

impl Call<'_, '_> {
    /// The cost of the call with its arguments (not of its receiver), and the result's size.
    pub(super) fn estimate(&self, coster: &Coster<'_>) -> Estimate {
        let arguments = self
            .args
            .iter()
            .fold(Range::fixed(0), |sum, arg| sum.plus(arg.cost));
        let own = self.of_lists().or_else(|| self.of_library(coster));
        if let Some((cost, size)) = own {
            return (cost.plus(arguments), size);
        }
        if let Some(estimate) = self.of_branches() {
            return estimate;
        }
        let (cost, size) = self.of_standard().unwrap_or((ONE, None));
        (cost.plus(arguments), size)
    }

    fn size(&self, at: usize) -> Range {
        self.args.get(at).map_or(Range::UNKNOWN, |arg| arg.size)
    }

    fn receiver(&self) -> Option<Range> {
        self.target.map(|target| target.size)
    }

    /// An argument that is an integer literal; negative ones count as 0.
    fn int(&self, at: usize, otherwise: u64) -> u64 {
        match self.args.get(at).map(|arg| &arg.expr.kind) {
            Some(ExprKind::Literal(Literal::Int(i))) => u64::try_from(*i).unwrap_or(0),
            _ => otherwise,
        }
    }

    /// cel-go's `ext/lists` and `ext/sets`.
    fn of_lists(&self) -> Option<Estimate> {
        let making =
            |factor: f64, size: Range| (size.scaled(factor).plus(Range::fixed(11)), Some(size));
        let sorting = |size: Range| {
            let text = self.overload.contains("_string_") || self.overload.contains("_bytes_");
            let factor = if text { 2.0 + TRAVERSE } else { 2.0 };
            making(factor, size.times(size))
        };
        Some(match self.overload {
            "list_sets_contains_list" | "list_sets_intersects_list" => {
                (self.size(0).times(self.size(1)).plus(ONE), None)
            }
            "list_sets_equivalent_list" => {
                (self.size(0).times(self.size(1)).scaled(2.0).plus(ONE), None)
            }
            "list_slice" => {
                let start = self.int(0, 0);
                let end = self.int(1, self.receiver()?.max);
                making(1.0, Range::fixed(end.wrapping_sub(start)))
            }
            "lists_range" => making(1.0, Range::fixed(self.int(0, u64::MAX))),
            "list_reverse" | "list_flatten" => making(1.0, self.receiver()?),
            #[allow(clippy::cast_precision_loss, reason = "as Kubernetes computes it")]
            "list_flatten_int" => making(self.int(0, u64::MAX) as f64, self.receiver()?),
            "list_distinct" => {
                let size = self.receiver()?;
                making(2.0, size.times(size))
            }
            id if id.starts_with("list_") && id.ends_with("_sort") => {
                let text = matches!(id, "list_string_sort" | "list_bytes_sort");
                let factor = if text { 2.0 + TRAVERSE } else { 2.0 };
                let size = self.receiver()?;
                making(factor, size.times(size))
            }
            id if id.ends_with("_sortByAssociatedKeys") => sorting(self.size(0)),
            _ => return None,
        })
    }

    /// Kubernetes' libraries.
    fn of_library(&self, coster: &Coster<'_>) -> Option<Estimate> {
        let walk = |size: Range| (size.scaled(TRAVERSE), None);
        Some(match self.function {
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
                self.of_elements(coster)?
            }
            "url" if self.args.len() == 1 => (self.size(0).scaled(TRAVERSE), Some(self.size(0))),
            "lowerAscii" | "upperAscii" | "substring" | "trim" => {
                let size = self.receiver()?;
                (size.scaled(TRAVERSE), Some(size))
            }
            "replace" => self.of_replace()?,
            "split" => {
                let size = self.receiver()?;
                let max = match self.args.get(1).map(|arg| &arg.expr.kind) {
                    Some(ExprKind::Literal(Literal::Int(i))) => i.cast_unsigned(),
                    _ => size.max,
                };
                (size.scaled(2.0 * TRAVERSE), Some(Range { min: 0, max }))
            }
            "join" => self.of_join(coster)?,
            "find" | "findAll" => {
                let size = self.receiver()?;
                let text = size.plus(ONE).scaled(TRAVERSE);
                let cost = text.times(self.size(0).scaled(PATTERN));
                (
                    cost,
                    Some(Range {
                        min: 0,
                        max: size.max,
                    }),
                )
            }
            "ip" if self.overload == "cidr_ip" => (ONE, None),
            "ip" | "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver"
            | "isSemver" => walk(self.size(0)),
            "ip.isCanonical" => (self.size(0).scaled(2.0 * TRAVERSE), None),
            "masked"
            | "prefixLength"
            | "family"
            | "isUnspecified"
            | "isLoopback"
            | "isLinkLocalMulticast"
            | "isLinkLocalUnicast"
            | "isGlobalUnicast"
            | "format.named"
            | "sign"
            | "asInteger"
            | "isInteger"
            | "asApproximateFloat"
            | "isGreaterThan"
            | "isLessThan"
            | "compareTo"
            | "add"
            | "sub"
            | "major"
            | "minor"
            | "patch"
            | "getScheme"
            | "getHostname"
            | "getHost"
            | "getPort"
            | "getEscapedPath"
            | "getQuery" => (ONE, None),
            "containsIP" | "containsCIDR" => {
                let mut cost = OCTETS.plus(OCTETS).scaled(TRAVERSE);
                if self.function == "containsCIDR" {
                    cost = cost.plus(OCTETS.scaled(TRAVERSE)).plus(ONE);
                }
                if self.overload.ends_with("_string") {
                    cost = cost.plus(self.size(0).scaled(TRAVERSE));
                }
                (cost, None)
            }
            "validate" => {
                let cost = self
                    .size(0)
                    .scaled(TRAVERSE)
                    .scaled(FORMAT_PATTERN * PATTERN);
                (cost, None)
            }
            "_==_" => (self.of_library_equality()?, None),
            _ => return None,
        })
    }

    fn of_library_equality(&self) -> Option<Range> {
        let [left, right] = self.args else {
            return None;
        };
        if left.of != right.of {
            return None;
        }
        match left.of {
            Type::Opaque("net.IP" | "net.CIDR", _) => Some(ONE),
            Type::Object(object) => match object.name.as_str() {
                "kubernetes.Quantity" | "kubernetes.Semver" => Some(ONE),
                "kubernetes.NamedFormat" => Some(
                    Range {
                        min: 1,
                        max: FORMAT_NAME,
                    }
                    .scaled(TRAVERSE),
                ),
                "kubernetes.URL" => {
                    let max = if right.size == Range::UNKNOWN {
                        1
                    } else {
                        right.size.max
                    };
                    Some(Range { min: 1, max }.scaled(TRAVERSE))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Functions that look at each element of a list, or at each character.
    fn of_elements(&self, coster: &Coster<'_>) -> Option<Estimate> {
        let target = self.target?;
        let Type::List(element) = target.of else {
            return Some((target.size.scaled(TRAVERSE), None));
        };
        let mut each = ONE;
        if matches!(**element, Type::String | Type::Bytes) {
            let size = element_size(coster, target);
            each = each.plus(size.scaled(TRAVERSE));
        }
        Some((target.size.times(each), None))
    }

    fn of_join(&self, coster: &Coster<'_>) -> Option<Estimate> {
        let target = self.target?;
        let mut size = match target.of {
            Type::List(_) => target.size.times(element_size(coster, target)),
            _ => Range::fixed(0),
        };
        if !self.args.is_empty() {
            let separators = Range {
                min: target.size.min.saturating_sub(1),
                max: target.size.max.saturating_sub(1),
            };
            size = size.plus(self.size(0).times(separators));
        }
        Some((size.scaled(TRAVERSE), Some(size)))
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as Kubernetes computes it"
    )]
    fn of_replace(&self) -> Option<Estimate> {
        let size = self.receiver()?;
        if self.args.len() < 2 {
            return None;
        }
        let (old, new) = (self.size(0), self.size(1));
        let (mut count, mut kept) = (Range::fixed(0), Range::fixed(0));
        if old.min == 0 {
            count.max = size.max.saturating_add(1);
            kept.max = size.max;
        } else if new.max <= old.min {
            kept.max = size.max;
        } else {
            count.max = (size.max as f64 / old.min as f64).ceil() as u64;
        }
        if old.max == 0 {
            count.min = size.min.saturating_add(1);
            kept.min = size.min;
        } else if old.max <= new.min {
            kept.min = size.min;
        } else {
            count.min = (size.min as f64 / old.max as f64).ceil() as u64;
        }
        let result = count.times(new).plus(kept);
        Some((size.scaled(2.0 * TRAVERSE), Some(result)))
    }

    /// `&&`, `||` and `?:`, of which not all is evaluated.
    fn of_branches(&self) -> Option<Estimate> {
        match (self.overload, self.args) {
            ("logical_or" | "logical_and", [left, right]) => Some((
                Range {
                    min: left.cost.min,
                    max: left.cost.plus(right.cost).max,
                },
                None,
            )),
            ("conditional", [test, yes, no]) => Some((
                test.cost.plus(yes.cost.union(no.cost)),
                Some(yes.size.union(no.size)),
            )),
            _ => None,
        }
    }

    fn of_standard(&self) -> Option<Estimate> {
        let (a, b) = (self.size(0), self.size(1));
        Some(match self.overload {
            "string_format" => (self.receiver()?.scaled(TRAVERSE), None),
            "string_to_bytes" => {
                let max = a.max.wrapping_mul(4);
                (a.scaled(TRAVERSE), Some(Range { min: a.min, max }))
            }
            "bytes_to_string" => {
                let min = a.min / 4;
                (a.scaled(TRAVERSE), Some(Range { min, max: a.max }))
            }
            "strings_quote" => {
                let max = a.max.wrapping_mul(2).wrapping_add(2);
                let min = a.min.wrapping_add(2);
                (a.scaled(TRAVERSE), Some(Range { min, max }))
            }
            "starts_with_string" | "ends_with_string" => (a.scaled(TRAVERSE), None),
            "in_list" => (b.scaled(1.0), None),
            "matches_string" => {
                let text = self.receiver()?.plus(ONE).scaled(TRAVERSE);
                (text.times(a.scaled(PATTERN)), None)
            }
            "contains_string" => (
                self.receiver()?.scaled(TRAVERSE).times(a.scaled(TRAVERSE)),
                None,
            ),
            "add_list" => (ONE, Some(a.plus(b))),
            "add_string" | "add_bytes" => (a.plus(b).scaled(TRAVERSE), Some(a.plus(b))),
            "equals" | "not_equals" => (smaller(a, b), None),
            id if matches!(self.function, "_<_" | "_<=_" | "_>_" | "_>=_")
                && (id.ends_with("_string") || id.ends_with("_bytes")) =>
            {
                (smaller(a, b), None)
            }
            _ => return None,
        })
    }
}

/// Cost of comparing: of walking the shorter.
fn smaller(a: Range, b: Range) -> Range {
    let max = a.max.min(b.max);
    Range {
        min: u64::from(max > 0),
        max,
    }
    .scaled(TRAVERSE)
}

/// The size that the schema allows the elements of a list.
fn element_size(coster: &Coster<'_>, list: &Arg<'_>) -> Range {
    if list.path.is_empty() {
        return Range::UNKNOWN;
    }
    let mut path = list.path.clone();
    path.push("@items".to_owned());
    coster.declared(&path).unwrap_or(Range::UNKNOWN)
}
