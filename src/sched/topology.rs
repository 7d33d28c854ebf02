//! The places that a label of nodes tells apart (zones, hosts), numbered, so that what is counted by
//! place is an array. Kept up to date node by node. Must not know pods.

use crate::sched::terms::Labels;
use std::collections::HashMap;

/// The number of a place.
pub(crate) type Place = u32;
/// A node that is in none.
const NOWHERE: Place = Place::MAX;

/// The places of one label.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topology {
    numbers: HashMap<String, Place>,
    /// By slot of the node.
    of_node: Vec<Place>,
    /// How many nodes are in each.
    nodes: Vec<u32>,
}

impl Topology {
    /// Which place a node is in.
    pub(crate) fn of(&self, slot: usize) -> Option<Place> {
        self.of_node
            .get(slot)
            .copied()
            .filter(|place| *place != NOWHERE)
    }

    /// How many numbers were given: as long are arrays by place.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The places that there are: those that have a node.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let places = (0..).zip(&self.nodes);
        places
            .filter(|(_, nodes)| **nodes > 0)
            .map(|(place, _)| place)
    }

    /// A node is of these labels now; none: it is gone.
    pub(crate) fn set(&mut self, slot: usize, key: &str, labels: Option<&Labels>) {
        if self.of_node.len() <= slot {
            self.of_node.resize(slot + 1, NOWHERE);
        }
        let place = match labels.and_then(|labels| labels.get(key)) {
            None => NOWHERE,
            Some(value) => match self.numbers.get(value) {
                Some(place) => *place,
                None => {
                    let place = Place::try_from(self.nodes.len()).unwrap_or(NOWHERE);
                    self.numbers.insert(value.clone(), place);
                    self.nodes.push(0);
                    place
                }
            },
        };
        let Some(own) = self.of_node.get_mut(slot) else {
            return;
        };
        let before = std::mem::replace(own, place);
        let mut count = |place: Place, by: i64| {
            let nodes = usize::try_from(place).ok();
            if let Some(nodes) = nodes.and_then(|place| self.nodes.get_mut(place)) {
                *nodes = nodes.saturating_add_signed(by as i32);
            }
        };
        count(before, -1);
        count(place, 1);
    }
}

/// Numbers counted by place.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByPlace(Vec<i64>);

impl ByPlace {
    pub(crate) fn of(topology: &Topology) -> Self {
        Self(vec![0; topology.len()])
    }

    pub(crate) fn get(&self, place: Place) -> i64 {
        let place = usize::try_from(place).ok();
        place
            .and_then(|place| self.0.get(place))
            .copied()
            .unwrap_or(0)
    }

    pub(crate) fn add(&mut self, place: Option<Place>, by: i64) {
        let place = place.and_then(|place| usize::try_from(place).ok());
        if let Some(count) = place.and_then(|place| self.0.get_mut(place)) {
            *count += by;
        }
    }
}
