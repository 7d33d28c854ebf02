//! What names no class gets the one that is marked as the default: of several the newest, then the
//! first by name.
//! Kubernetes: admission plugins DefaultStorageClass and DefaultIngressClass.

use super::{Plugin, Request};
use crate::meta::{ApiError, Object};
use serde_json::json;

/// A plugin that gives one kind its class.
pub(super) struct DefaultClass {
    name: &'static str,
    /// Group and resource of what gets a class.
    of: (&'static str, &'static str),
    field: &'static str,
    /// The annotation that named a class before the field did.
    old: &'static str,
    /// Group and resource of the classes.
    classes: (&'static str, &'static str),
    /// The annotations that mark the default.
    marks: &'static [&'static str],
}

/// For claims of volumes.
pub(super) static STORAGE: DefaultClass = DefaultClass {
    name: "DefaultStorageClass",
    of: ("", "persistentvolumeclaims"),
    field: "storageClassName",
    old: "volume.beta.kubernetes.io/storage-class",
    classes: ("storage.k8s.io", "storageclasses"),
    marks: &[
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ],
};

/// For ingresses.
pub(super) static INGRESS: DefaultClass = DefaultClass {
    name: "DefaultIngressClass",
    of: ("networking.k8s.io", "ingresses"),
    field: "ingressClassName",
    old: "kubernetes.io/ingress.class",
    classes: ("networking.k8s.io", "ingressclasses"),
    marks: &["ingressclass.kubernetes.io/is-default-class"],
};

impl Plugin for DefaultClass {
    fn name(&self) -> &'static str {
        self.name
    }

    fn mutate(
        &self,
        request: &Request<'_>,
        object: &mut Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        let named =
            object.get(&["spec", self.field]).is_some() || object.annotation(self.old).is_some();
        if !request.creates(self.of.0, self.of.1) || named {
            return Ok(());
        }
        let classes = request.all(self.classes.0, self.classes.1, None)?;
        let default = classes
            .iter()
            .filter(|class| {
                let mut marks = self.marks.iter();
                marks.any(|mark| class.annotation(mark) == Some("true"))
            })
            .min_by(|a, b| {
                let made =
                    |class: &Object| class.str_at(&["metadata", "creationTimestamp"]).to_owned();
                made(b).cmp(&made(a)).then_with(|| a.name().cmp(b.name()))
            });
        if let Some(class) = default {
            object.set(&["spec", self.field], json!(class.name()));
        }
        Ok(())
    }
}
