//! Sets of indexes as a Job's status and success policy write them: `0-3,5,7,8`. Pure.
//! Kubernetes: `pkg/controller/job/indexed_job_utils.go`.

use std::fmt;

/// A set of indexes, as spans in order that neither meet nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(Vec<(u32, u32)>);

impl Indexes {
    /// Reads a list; what is no number, or not below `completions`, is left out.
    pub(super) fn parse(text: &str, completions: u32) -> Self {
        let spans = text.split(',').filter_map(|span| {
            let (first, last) = span.split_once('-').unwrap_or((span, span));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            let last = last.min(completions.checked_sub(1)?);
            (first <= last).then_some((first, last))
        });
        Self(spans.collect()).in_order()
    }

    fn in_order(mut self) -> Self {
        self.0.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(self.0.len());
        for (first, last) in self.0 {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last)
                }
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// The set with more indexes in it.
    pub(super) fn with(&self, more: impl IntoIterator<Item = u32>) -> Self {
        let more = more.into_iter().map(|index| (index, index));
        Self(self.0.iter().copied().chain(more).collect()).in_order()
    }

    /// The set with all of another.
    pub(super) fn union(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).copied().collect()).in_order()
    }

    /// How many there are.
    pub(super) fn len(&self) -> u32 {
        let sizes = self.0.iter().map(|(first, last)| last - first + 1);
        sizes.sum()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an index is among them.
    pub(super) fn has(&self, index: u32) -> bool {
        let behind = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(behind).is_some_and(|(first, _)| *first <= index)
    }

    /// How many are in both.
    pub(super) fn common(&self, other: &Self) -> u32 {
        let pairs = self
            .0
            .iter()
            .flat_map(|one| other.0.iter().map(move |two| (one, two)));
        pairs
            .map(|(one, two)| {
                let (first, last) = (one.0.max(two.0), one.1.min(two.1));
                (last + 1).saturating_sub(first)
            })
            .sum()
    }

    /// The first `count` below `completions` that are not among them.
    pub(super) fn missing(&self, count: usize, completions: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut next = 0;
        let end = (completions, completions);
        for (first, last) in self.0.iter().copied().chain([end]) {
            let gap = next..first.min(completions);
            found.extend(gap.take(count - found.len()));
            next = next.max(last.saturating_add(1));
        }
        found
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.0.iter().enumerate() {
            if place > 0 {
                out.write_str(",")?;
            }
            match last - first {
                0 => write!(out, "{first}")?,
                1 => write!(out, "{first},{last}")?,
                _ => write!(out, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn spans_are_written_as_short_as_kubernetes_does() {
        for (given, written) in [
            ("", ""),
            ("0,1,2,3", "0-3"),
            ("1,2", "1,2"),
            ("5,3,x,1-2,90-99", "1-3,5"),
            ("8-20", "8,9"),
        ] {
            assert_eq!(Indexes::parse(given, 10).to_string(), written, "{given}");
        }
    }

    proptest! {
        #[test]
        fn a_set_of_spans_is_a_set(
            one in prop::collection::btree_set(0_u32..40, 0..30),
            two in prop::collection::btree_set(0_u32..40, 0..30),
            count in 0_usize..50,
        ) {
            let set = |of: &BTreeSet<u32>| Indexes::default().with(of.iter().copied());
            let (a, b) = (set(&one), set(&two));
            prop_assert_eq!(a.union(&b), set(&one.union(&two).copied().collect()));
            prop_assert_eq!(a.common(&b) as usize, one.intersection(&two).count());
            prop_assert_eq!(a.len() as usize, one.len());
            prop_assert_eq!(&Indexes::parse(&a.to_string(), 40), &a);
            for index in 0..40 {
                prop_assert_eq!(a.has(index), one.contains(&index));
            }
            let missing: Vec<u32> = (0..35).filter(|index| !one.contains(index)).take(count).collect();
            prop_assert_eq!(a.missing(count, 35), missing);
        }
    }
}
