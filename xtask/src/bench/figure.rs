//! Figures: what each run found, what is wanted, and whether it is met. Must not know how anything
//! is measured.

/// What a figure should be.
#[derive(Clone, Copy)]
pub(super) enum Aim {
    /// Told for its own sake.
    None,
    /// wkube's own at most this.
    AtMost(f64),
    /// wkube's own at least this.
    AtLeast(f64),
    /// wkube's divided by the peer's, at most this.
    RatioAtMost(f64),
    /// wkube's divided by the peer's, at least this.
    RatioAtLeast(f64),
}

/// What one run found.
pub(super) struct Sample {
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) ours: f64,
    /// Who it is measured against, and what that one needed.
    pub(super) peer: Option<(&'static str, f64)>,
    pub(super) aim: Aim,
}

/// The same sample of all runs.
pub(super) struct Figure {
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) ours: Vec<f64>,
    pub(super) peer: Option<(&'static str, Vec<f64>)>,
    pub(super) aim: Aim,
}

/// A sample without a peer.
pub(super) fn alone(what: &str, unit: &'static str, ours: f64, aim: Aim) -> Sample {
    Sample {
        what: what.to_owned(),
        unit,
        ours,
        peer: None,
        aim,
    }
}

/// A sample beside a peer's.
pub(super) fn beside(
    what: &str,
    unit: &'static str,
    ours: f64,
    peer: (&'static str, f64),
    aim: Aim,
) -> Sample {
    Sample {
        peer: Some(peer),
        ..alone(what, unit, ours, aim)
    }
}

/// Adds one run's samples.
pub(super) fn add(figures: &mut Vec<Figure>, samples: Vec<Sample>) {
    for sample in samples {
        let Some(figure) = figures.iter_mut().find(|figure| figure.what == sample.what) else {
            figures.push(Figure {
                what: sample.what,
                unit: sample.unit,
                ours: vec![sample.ours],
                peer: sample.peer.map(|(name, value)| (name, vec![value])),
                aim: sample.aim,
            });
            continue;
        };
        figure.ours.push(sample.ours);
        if let (Some((_, values)), Some((_, value))) = (&mut figure.peer, sample.peer) {
            values.push(value);
        }
    }
}

impl Figure {
    /// wkube's median divided by the peer's.
    pub(super) fn ratio(&self) -> Option<f64> {
        let (_, peer) = self.peer.as_ref()?;
        Some(median(&self.ours) / median(peer))
    }

    /// Whether the aim is met; none when there is none.
    pub(super) fn met(&self) -> Option<bool> {
        let ours = median(&self.ours);
        match self.aim {
            Aim::None => None,
            Aim::AtMost(limit) => Some(ours <= limit),
            Aim::AtLeast(limit) => Some(ours >= limit),
            Aim::RatioAtMost(limit) => self.ratio().map(|ratio| ratio <= limit),
            Aim::RatioAtLeast(limit) => self.ratio().map(|ratio| ratio >= limit),
        }
    }
}

/// The middle one, or the mean of the two middle ones.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = sorted.get(half).copied().unwrap_or(f64::NAN);
    if sorted.len() % 2 == 1 {
        return upper;
    }
    let lower = half.checked_sub(1).and_then(|at| sorted.get(at)).copied();
    lower.map_or(upper, |lower| f64::midpoint(lower, upper))
}
