//! Sets of field paths, and their form in `managedFields` (`FieldsV1`). Must not know objects.
//! Kubernetes: structured-merge-diff `fieldpath.Set`.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;

/// How deep a `FieldsV1` is read; deeper ones are refused.
const MAX_DEPTH: usize = 256;

/// One step of a path: a field, an item of an associative list by its key, an item of a set by
/// its value, or an item by its index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathElement(String);

impl PathElement {
    /// `f:name`.
    pub fn field(name: &str) -> Self {
        Self(format!("f:{name}"))
    }

    /// `k:{"name":"a"}`.
    pub fn key(fields: Map<String, Value>) -> Self {
        Self(format!("k:{}", Value::Object(fields)))
    }

    /// `v:"a"`.
    pub fn value(value: &Value) -> Self {
        Self(format!("v:{value}"))
    }

    /// `i:0`.
    pub fn index(index: usize) -> Self {
        Self(format!("i:{index}"))
    }

    /// Reads the form in `FieldsV1`; JSON in it is brought into one spelling.
    fn parse(text: &str) -> Option<Self> {
        let json = |text: &str| serde_json::from_str::<Value>(text).ok();
        match text.split_at_checked(2)? {
            ("f:", _) => Some(Self(text.to_owned())),
            ("v:", value) => Some(Self::value(&json(value)?)),
            ("k:", key) => match json(key)? {
                Value::Object(fields) => Some(Self::key(fields)),
                _ => None,
            },
            ("i:", index) => index.parse().ok().map(Self::index),
            _ => None,
        }
    }

    /// The field's name, if it is a field.
    pub fn field_name(&self) -> Option<&str> {
        self.0.strip_prefix("f:")
    }
}

impl fmt::Display for PathElement {
    /// `.name`, `[name="a"]`, `[="a"]`, `[0]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, rest) = self.0.split_at_checked(2).unwrap_or_default();
        match kind {
            "k:" => {
                let fields: Map<String, Value> = serde_json::from_str(rest).unwrap_or_default();
                let pairs: Vec<String> = fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "[{}]", pairs.join(","))
            }
            "v:" => write!(f, "[={rest}]"),
            "i:" => write!(f, "[{rest}]"),
            _ => write!(f, ".{rest}"),
        }
    }
}

/// A path as Kubernetes prints it: `.spec.containers[name="a"].image`.
pub(super) fn path_text(path: &[PathElement]) -> String {
    path.iter().map(ToString::to_string).collect()
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Branch {
    member: bool,
    below: FieldSet,
}

/// A set of paths. That a path is in the set says nothing about the paths above or below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    branches: BTreeMap<PathElement, Branch>,
}

impl FieldSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of paths of plain fields, such as `status` or `metadata.name`.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::new();
        for path in paths {
            let path: Vec<PathElement> = path.iter().map(|n| PathElement::field(n)).collect();
            set.insert(&path);
        }
        set
    }

    /// Whether no path is in it.
    pub fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }

    /// Adds a path; the empty path is not one.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let branch = self.branches.entry(first.clone()).or_default();
        if rest.is_empty() {
            branch.member = true;
        } else {
            branch.below.insert(rest);
        }
    }

    /// Whether the path is in it.
    pub fn has(&self, path: &[PathElement]) -> bool {
        match path.split_first() {
            None => false,
            Some((first, [])) => self.branches.get(first).is_some_and(|b| b.member),
            Some((first, rest)) => self.branches.get(first).is_some_and(|b| b.below.has(rest)),
        }
    }

    /// Whether `element` itself is in it, and what is in it below.
    pub(super) fn at(&self, element: &PathElement) -> (bool, Option<&Self>) {
        match self.branches.get(element) {
            Some(branch) => (branch.member, Some(&branch.below)),
            None => (false, None),
        }
    }

    /// Paths of either.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        if self.branches.is_empty() {
            return other;
        }
        for (element, theirs) in other.branches {
            match self.branches.entry(element) {
                Slot::Vacant(slot) => {
                    slot.insert(theirs);
                }
                Slot::Occupied(mut slot) => {
                    let ours = slot.get_mut();
                    ours.member |= theirs.member;
                    let below = std::mem::take(&mut ours.below);
                    ours.below = below.union(theirs.below);
                }
            }
        }
        self
    }

    /// Paths of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(|element, ours| {
            let theirs = other.branches.get(element)?;
            Some(Branch {
                member: ours.member && theirs.member,
                below: ours.below.intersection(&theirs.below),
            })
        })
    }

    /// Paths of this one that are not in the other.
    #[must_use]
    pub fn difference(mut self, other: &Self) -> Self {
        if !other.branches.is_empty() {
            self.branches.retain(|element, ours| {
                let Some(theirs) = other.branches.get(element) else {
                    return true;
                };
                ours.member &= !theirs.member;
                ours.below = std::mem::take(&mut ours.below).difference(&theirs.below);
                ours.member || !ours.below.is_empty()
            });
        }
        self
    }

    /// Paths of this one that are neither in the other nor below a path that is.
    #[must_use]
    pub fn recursive_difference(mut self, other: &Self) -> Self {
        self.branches.retain(|element, ours| {
            let Some(theirs) = other.branches.get(element) else {
                return true;
            };
            if theirs.member {
                return false;
            }
            ours.below = std::mem::take(&mut ours.below).recursive_difference(&theirs.below);
            ours.member || !ours.below.is_empty()
        });
        self
    }

    fn combine(&self, pick: impl Fn(&PathElement, &Branch) -> Option<Branch>) -> Self {
        let picked = self.branches.iter().filter_map(|(element, branch)| {
            let branch = pick(element, branch)?;
            (branch.member || !branch.below.is_empty()).then(|| (element.clone(), branch))
        });
        Self {
            branches: picked.collect(),
        }
    }

    /// The set with every branch remade by `change`, which gets the element, whether it is a
    /// member, and what is below it.
    pub(super) fn remade(
        &self,
        change: impl Fn(&PathElement, bool, &Self) -> (bool, Self),
    ) -> Self {
        self.combine(|element, branch| {
            let (member, below) = change(element, branch.member, &branch.below);
            Some(Branch { member, below })
        })
    }

    /// All paths, in order.
    pub fn paths(&self) -> Vec<Vec<PathElement>> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, above: &mut Vec<PathElement>, paths: &mut Vec<Vec<PathElement>>) {
        for (element, branch) in &self.branches {
            above.push(element.clone());
            if branch.member {
                paths.push(above.clone());
            }
            branch.below.collect(above, paths);
            above.pop();
        }
    }

    /// The form in `managedFields`.
    pub fn to_fields_v1(&self) -> Value {
        let mut map = Map::new();
        for (element, branch) in &self.branches {
            let mut below = branch.below.to_fields_v1();
            if branch.member
                && !branch.below.is_empty()
                && let Value::Object(below) = &mut below
            {
                below.insert(".".to_owned(), Value::Object(Map::new()));
            }
            map.insert(element.0.clone(), below);
        }
        Value::Object(map)
    }

    /// Reads the form in `managedFields`; `None` for what is none.
    pub fn from_fields_v1(fields: &Value) -> Option<Self> {
        Self::read(fields, 0).map(|(_, set)| set)
    }

    fn read(fields: &Value, depth: usize) -> Option<(bool, Self)> {
        let fields = fields.as_object().filter(|_| depth < MAX_DEPTH)?;
        let mut set = Self::new();
        let mut dot = false;
        for (name, value) in fields {
            if name == "." {
                dot = true;
                continue;
            }
            let element = PathElement::parse(name)?;
            let (member, below) = Self::read(value, depth + 1)?;
            // A leaf is a member; so is a branch with a dot.
            let member = member || below.is_empty();
            // Two spellings of one key are one element.
            let slot = set.branches.entry(element).or_default();
            slot.member |= member;
            slot.below = std::mem::take(&mut slot.below).union(below);
        }
        Some((dot, set))
    }
}
