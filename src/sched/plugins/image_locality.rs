//! ImageLocality: a node that has the pod's images already is better, the more so the larger they
//! are and the more nodes have them.
//! Kubernetes: `plugins/imagelocality/image_locality.go`.

use crate::sched::cluster::Cluster;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, Round, SCORE_MAX};

/// Images of fewer bytes in all count as none.
const LEAST_BYTES: i64 = 23 * 1024 * 1024;
/// Bytes of a container's image over which more count no more.
const MOST_BYTES: i64 = 1000 * 1024 * 1024;

pub(crate) struct ImageLocality;

struct Images {
    /// Each that some node has, with the part of all nodes that have it.
    images: Vec<(String, f64)>,
    containers: i64,
}

/// An image's name with its tag.
fn normalized(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains(':') {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn begin<'a>(&self, pod: &'a PodInfo, cluster: &'a Cluster) -> Option<Box<dyn Round + 'a>> {
        let spec = &pod.pod.spec;
        let containers = || spec.init_containers.iter().chain(&spec.containers);
        let all = cluster.nodes().len().max(1) as f64;
        let images = containers().filter_map(|container| {
            let name = normalized(&container.image);
            let nodes = *cluster.images.get(&name)?;
            Some((name, nodes as f64 / all))
        });
        let images: Vec<_> = images.collect();
        let containers = i64::try_from(containers().count()).unwrap_or(1).max(1);
        let round = Images { images, containers };
        (!round.images.is_empty()).then(|| Box::new(round) as Box<dyn Round>)
    }

    fn weight(&self) -> i64 {
        1
    }
}

impl Round for Images {
    fn score(&self, _slot: usize, node: &NodeInfo) -> i64 {
        let bytes = self.images.iter().map(|(name, part)| {
            let size = node.images.get(name).copied().unwrap_or(0);
            (size as f64 * part) as i64
        });
        let most = MOST_BYTES.saturating_mul(self.containers);
        let bytes = bytes.sum::<i64>().clamp(LEAST_BYTES, most);
        SCORE_MAX * (bytes - LEAST_BYTES) / (most - LEAST_BYTES)
    }
}
