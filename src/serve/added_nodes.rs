//! Virtual nodes that come and go while the server runs. A Node object that bears a label is a wish:
//! this process runs it as it runs its own, until the object is deleted; after a restart, too. Must
//! not know who makes such objects.

use crate::client::{Change, Client, Informer, InformerConfig, PatchKind, Query, WorkQueue};
use crate::controllers::NODE_CONTROLLER;
use crate::kubelet::LocalNodes;
use crate::meta::{GroupVersionResource, ObjectKey, Quantity};
use crate::serve::in_process::Clients;
use crate::serve::parts::{NodeMaker, is_of_this_start, node_ipam};
use crate::serve::{NODES_MAX, NodeShape};
use crate::stdx::{Clock, Shutdown};
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The label of the nodes that a server runs beside those it is started with.
pub const ADDED_NODE: &str = "node.wkube.dev/added";
/// Bears the number by which such a node has its addresses; a node keeps it.
const NUMBER: &str = "node.wkube.dev/number";

/// Follows the added nodes until `shutdown`.
pub(crate) struct AddedNodes {
    client: Client,
    maker: NodeMaker,
    /// How many nodes the server is started with, and their size.
    own: (usize, NodeShape),
    nodes: Arc<LocalNodes>,
    clock: Clock,
    shutdown: Shutdown,
    /// Those that run, by name: the branch that stops them, and their number.
    running: HashMap<String, (Shutdown, usize)>,
}

impl AddedNodes {
    pub(crate) fn new(
        clients: &Clients,
        maker: NodeMaker,
        own: (usize, NodeShape),
        nodes: Arc<LocalNodes>,
        (clock, shutdown): (Clock, Shutdown),
    ) -> Self {
        Self {
            client: clients.controller(NODE_CONTROLLER, "wkube-nodes"),
            maker,
            own,
            nodes,
            clock,
            shutdown,
            running: HashMap::new(),
        }
    }

    /// Starts to follow.
    pub(crate) fn start(mut self) {
        let queue = WorkQueue::new(self.clock.clone());
        let told = queue.clone();
        let config = InformerConfig {
            label_selector: ADDED_NODE.to_owned(),
            ..InformerConfig::all(resource())
        };
        let (client, clock) = (self.client.clone(), self.clock.clone());
        let informer = Informer::start(client, config, clock, &self.shutdown, move |change| {
            let node: Arc<Node> = match change {
                Change::Applied(node, None) | Change::Deleted(node) => node,
                Change::Applied(..) | Change::Synced => return,
            };
            told.add(name_of(&node));
        });
        let shutdown = self.shutdown.clone();
        shutdown.spawn_until_stopped(async move {
            while let Some(name) = queue.next().await {
                let node = informer.get(&ObjectKey::new("", name.as_str()));
                match (node, self.running.contains_key(&name)) {
                    (Some(node), false) => match self.run(&node).await {
                        Ok(()) => queue.succeeded(&name),
                        Err(error) => {
                            tracing::warn!(node = name, %error, "the node did not start, trying again");
                            queue.add_failed(name.clone());
                        }
                    },
                    (None, true) => self.stop(&name).await,
                    _ => {}
                }
                queue.done(&name);
            }
        });
    }

    async fn run(&mut self, node: &Node) -> Result<(), String> {
        let name = name_of(node);
        if is_of_this_start(&name, self.own.0) {
            return Ok(());
        }
        let number = self.number(node).await?;
        let stop = self.shutdown.child();
        let shape = self.shape(node);
        let labels = BTreeMap::new();
        let kubelet = self.maker.start(&name, number, &shape, labels, &stop);
        match kubelet.await {
            Ok(kubelet) => {
                self.nodes.add(kubelet);
                tracing::info!(node = name, number, "an added node runs");
                self.running.insert(name, (stop, number));
                Ok(())
            }
            Err(error) => {
                stop.stop();
                Err(error.to_string())
            }
        }
    }

    async fn stop(&mut self, name: &str) {
        let Some((stop, _)) = self.running.remove(name) else {
            return;
        };
        self.nodes.remove(name);
        stop.stop();
        stop.drained().await;
        // One that is added later under its name begins anew.
        if let Some(error) = self.maker.forget(name) {
            tracing::warn!(node = name, %error, "the folder of a node that is gone stays");
        }
        tracing::info!(node = name, "an added node is gone");
    }

    /// What the node is to give: what its object says, and for the rest what the others give.
    fn shape(&self, node: &Node) -> NodeShape {
        let status = node.status.as_ref();
        let capacity = status.and_then(|status| status.capacity.as_ref());
        let says = |name: &str| {
            let quantity = capacity.and_then(|capacity| capacity.get(name));
            quantity.and_then(|quantity| Quantity::parse(&quantity.0).ok())
        };
        let or = |found: Option<i64>, other: u64| {
            found.and_then(|n| u64::try_from(n).ok()).unwrap_or(other)
        };
        let own = &self.own.1;
        let pods = says("pods").and_then(|pods| u32::try_from(pods.value()).ok());
        NodeShape {
            cpu_millis: or(says("cpu").map(|cpu| cpu.millis()), own.cpu_millis),
            memory_bytes: or(
                says("memory").map(|memory| memory.value()),
                own.memory_bytes,
            ),
            pods: pods.unwrap_or(own.pods),
        }
    }

    /// The node's number: what its object bears, or the greatest that is free, which it then bears.
    async fn number(&self, node: &Node) -> Result<usize, String> {
        let read = |node: &Node| -> Option<usize> {
            let annotations = node.metadata.annotations.as_ref()?;
            annotations.get(NUMBER)?.parse().ok()
        };
        if let Some(number) = read(node) {
            return Ok(number);
        }
        let (gvr, query) = (resource(), Query::new());
        let listed = self.client.list::<Node>(&gvr, "", &query).await;
        let listed = listed.map_err(|error| error.to_string())?;
        let taken: Vec<usize> = listed.items.iter().filter_map(read).collect();
        // Those of the start are counted from below: there may be more of them some day.
        let free = (self.own.0..NODES_MAX)
            .rev()
            .find(|number| !taken.contains(number));
        let number = free.ok_or_else(|| format!("{NODES_MAX} nodes are all that there may be"))?;
        let ipam = node_ipam(number).map_err(|error| error.to_string())?;
        let cidrs: Vec<String> = ipam.cidrs().iter().map(ToString::to_string).collect();
        let patch = json!({
            "metadata": {"annotations": {NUMBER: number.to_string()}},
            "spec": {"podCIDR": cidrs.first(), "podCIDRs": cidrs},
        });
        let name = name_of(node);
        let patched = self
            .client
            .patch::<Value>(&gvr, ("", &name), "", PatchKind::Merge, &patch);
        patched.await.map_err(|error| error.to_string())?;
        Ok(number)
    }
}

fn resource() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "nodes")
}

fn name_of(node: &Node) -> String {
    node.metadata.name.clone().unwrap_or_default()
}
