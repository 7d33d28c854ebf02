//! Endpoints. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at, list, or_none};
use super::workload::count;
use serde_json::Value;

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.metadata(object);
    out.line(0, "Subsets:");
    for subset in list(object, "/subsets") {
        for (title, field) in [
            ("Addresses", "/addresses"),
            ("NotReadyAddresses", "/notReadyAddresses"),
        ] {
            let addresses = list(subset, field).iter().map(|own| at(own, "/ip"));
            let addresses: Vec<&str> = addresses.collect();
            out.field(1, title, or_none(&addresses.join(",")));
        }
        let ports = list(subset, "/ports");
        if !ports.is_empty() {
            out.line(1, "Ports:");
            out.line(2, "Name\tPort\tProtocol");
            out.line(2, "----\t----\t--------");
        }
        for port in ports {
            let name = match at(port, "/name") {
                "" => "<unset>",
                name => name,
            };
            let (number, protocol) = (count(port, "/port"), at(port, "/protocol"));
            out.line(2, format!("{name}\t{number}\t{protocol}"));
        }
        out.line(0, "");
    }
}
