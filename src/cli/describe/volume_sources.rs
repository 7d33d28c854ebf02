//! Where volumes come from that are told of by their fields alone: what each is called, and which
//! fields are told. Must not know whether a pod or a PersistentVolume names the source.
//! Kubernetes: kubectl's `print...VolumeSource`.

use super::text::{Text, at};
use serde_json::Value;

/// What stands before a value, where it is, and what is said without one.
type Column = (&'static str, &'static str, &'static str);

/// A kind of source.
struct Source {
    /// The field of the volume.
    field: &'static str,
    /// Only in a pod's or only in a PersistentVolume's volumes.
    only: Option<Of>,
    /// What it is.
    kind: &'static str,
    columns: &'static [Column],
}

/// Whose volume it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A pod's.
    Pod,
    /// A PersistentVolume.
    PersistentVolume,
}

const FS_TYPE: Column = ("FSType:", "/fsType", "");
const PARTITION: Column = ("Partition:", "/partition", "0");
const PATH: Column = ("Path:", "/path", "");
const READ_ONLY: Column = ("ReadOnly:", "/readOnly", "false");
const SECRET: Column = ("SecretRef:", "/secretRef", "nil");
const VOLUME_ID: Column = ("VolumeID:", "/volumeID", "");

const SOURCES: &[Source] = &[
    Source {
        field: "gcePersistentDisk",
        only: None,
        kind: "GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)",
        columns: &[("PDName:", "/pdName", ""), FS_TYPE, PARTITION, READ_ONLY],
    },
    Source {
        field: "awsElasticBlockStore",
        only: None,
        kind: "AWSElasticBlockStore (a Persistent Disk resource in AWS)",
        columns: &[VOLUME_ID, FS_TYPE, PARTITION, READ_ONLY],
    },
    Source {
        field: "gitRepo",
        only: Some(Of::Pod),
        kind: "GitRepo (a volume that is pulled from git when the pod is created)",
        columns: &[
            ("Repository:", "/repository", ""),
            ("Revision:", "/revision", ""),
        ],
    },
    Source {
        field: "nfs",
        only: None,
        kind: "NFS (an NFS mount that lasts the lifetime of a pod)",
        columns: &[("Server:", "/server", ""), PATH, READ_ONLY],
    },
    Source {
        field: "iscsi",
        only: None,
        kind: "ISCSI (an ISCSI Disk resource that is attached to a kubelet's host machine and then \
               exposed to the pod)",
        columns: &[
            ("TargetPortal:", "/targetPortal", ""),
            ("IQN:", "/iqn", ""),
            ("Lun:", "/lun", "0"),
            ("ISCSIInterface", "/iscsiInterface", ""),
            FS_TYPE,
            READ_ONLY,
            ("Portals:", "/portals", "[]"),
            ("DiscoveryCHAPAuth:", "/chapAuthDiscovery", "false"),
            ("SessionCHAPAuth:", "/chapAuthSession", "false"),
            SECRET,
            ("InitiatorName:", "/initiatorName", "<none>"),
        ],
    },
    Source {
        field: "image",
        only: Some(Of::Pod),
        kind: "Image (a container image or OCI artifact)",
        columns: &[
            ("Reference:", "/reference", ""),
            ("PullPolicy:", "/pullPolicy", ""),
        ],
    },
    Source {
        field: "local",
        only: Some(Of::PersistentVolume),
        kind: "LocalVolume (a persistent volume backed by local storage on a node)",
        columns: &[PATH],
    },
    Source {
        field: "fc",
        only: None,
        kind: "FC (a Fibre Channel disk)",
        columns: &[
            ("TargetWWNs:", "/targetWWNs", ""),
            ("LUN:", "/lun", "<none>"),
            FS_TYPE,
            READ_ONLY,
        ],
    },
    Source {
        field: "flexVolume",
        only: None,
        kind: "FlexVolume (a generic volume resource that is provisioned/attached using an exec \
               based plugin)",
        columns: &[
            ("Driver:", "/driver", ""),
            FS_TYPE,
            SECRET,
            READ_ONLY,
            ("Options:", "/options", "map[]"),
        ],
    },
    Source {
        field: "cinder",
        only: None,
        kind: "Cinder (a Persistent Disk resource in OpenStack)",
        columns: &[VOLUME_ID, FS_TYPE, READ_ONLY, SECRET],
    },
    Source {
        field: "vsphereVolume",
        only: None,
        kind: "vSphereVolume (a Persistent Disk resource in vSphere)",
        columns: &[
            ("VolumePath:", "/volumePath", ""),
            FS_TYPE,
            ("StoragePolicyName:", "/storagePolicyName", ""),
        ],
    },
    Source {
        field: "cephfs",
        only: None,
        kind: "CephFS (a CephFS mount on the host that shares a pod's lifetime)",
        columns: &[
            ("Monitors:", "/monitors", "[]"),
            PATH,
            ("User:", "/user", ""),
            ("SecretFile:", "/secretFile", ""),
            SECRET,
            READ_ONLY,
        ],
    },
    Source {
        field: "rbd",
        only: None,
        kind: "RBD (a Rados Block Device mount on the host that shares a pod's lifetime)",
        columns: &[
            ("CephMonitors:", "/monitors", "[]"),
            ("RBDImage:", "/image", ""),
            FS_TYPE,
            ("RBDPool:", "/pool", ""),
            ("RadosUser:", "/user", ""),
            ("Keyring:", "/keyring", ""),
            SECRET,
            READ_ONLY,
        ],
    },
    Source {
        field: "azureFile",
        only: Some(Of::Pod),
        kind: "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
        columns: &[
            ("SecretName:", "/secretName", ""),
            ("ShareName:", "/shareName", ""),
            READ_ONLY,
        ],
    },
    Source {
        field: "azureFile",
        only: Some(Of::PersistentVolume),
        kind: "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
        columns: &[
            ("SecretName:", "/secretName", ""),
            ("SecretNamespace:", "/secretNamespace", ""),
            ("ShareName:", "/shareName", ""),
            READ_ONLY,
        ],
    },
    Source {
        field: "azureDisk",
        only: None,
        kind: "AzureDisk (an Azure Data Disk mount on the host and bind mount to the pod)",
        columns: &[
            ("DiskName:", "/diskName", ""),
            ("DiskURI:", "/diskURI", ""),
            ("Kind: ", "/kind", ""),
            FS_TYPE,
            ("CachingMode:", "/cachingMode", ""),
            READ_ONLY,
        ],
    },
    Source {
        field: "csi",
        only: Some(Of::Pod),
        kind: "CSI (a Container Storage Interface (CSI) volume source)",
        columns: &[("Driver:", "/driver", ""), FS_TYPE, READ_ONLY],
    },
    Source {
        field: "csi",
        only: Some(Of::PersistentVolume),
        kind: "CSI (a Container Storage Interface (CSI) volume source)",
        columns: &[
            ("Driver:", "/driver", ""),
            FS_TYPE,
            ("VolumeHandle:", "/volumeHandle", ""),
            READ_ONLY,
        ],
    },
];

/// The source of a volume; answers whether it is one of these.
pub(super) fn describe(volume: &Value, of: Of, out: &mut Text) -> bool {
    let mut fitting = SOURCES
        .iter()
        .filter(|source| source.only.is_none_or(|only| only == of))
        .filter_map(|source| Some((source, volume.get(source.field)?)));
    let Some((source, found)) = fitting.next() else {
        return false;
    };
    out.field(2, "Type", source.kind);
    for (title, pointer, unset) in source.columns {
        let value = found.pointer(pointer);
        let value = value.map_or_else(|| (*unset).to_owned(), |value| shown(source, value));
        out.line(2, format!("{title}\t{value}"));
    }
    if source.field == "csi" {
        let attributes = found.get("volumeAttributes");
        let attributes = super::text::pairs(attributes);
        out.column_inside("VolumeAttributes", &attributes, 2);
    }
    true
}

/// A value as Go prints it.
fn shown(source: &Source, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            match source.field {
                "fc" => texts.join(", "),
                _ => format!("[{}]", texts.join(" ")),
            }
        }
        Value::Object(map) => match (at(value, "/name"), at(value, "/namespace")) {
            ("", _) => {
                let pairs = map.iter().map(|(key, value)| {
                    let value = value.as_str().unwrap_or_default();
                    format!("{key}:{value}")
                });
                format!("map[{}]", pairs.collect::<Vec<_>>().join(" "))
            }
            (name, "") => format!("&LocalObjectReference{{Name:{name},}}"),
            (name, space) => format!("&SecretReference{{Name:{name},Namespace:{space},}}"),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_source_is_told_of_by_whose_it_is() {
        let volume = json!({"csi": {"driver": "d", "volumeHandle": "h"}});
        let mut out = Text::default();
        assert!(describe(&volume, Of::PersistentVolume, &mut out));
        let text = out.raw();
        assert!(
            text.contains("    VolumeHandle:\th\n    ReadOnly:\tfalse\n"),
            "{text}"
        );
        assert!(text.ends_with("    VolumeAttributes:\t<none>\n"), "{text}");
        let mut out = Text::default();
        assert!(describe(&volume, Of::Pod, &mut out));
        assert!(!out.raw().contains("VolumeHandle"));
        let other = json!({"emptyDir": {}});
        assert!(!describe(&other, Of::Pod, &mut Text::default()));
    }
}
