//! Guests in pods of a real server: what they may reach, what is kept of what they say.

use crate::server::{Server, WKUBE};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;

const TOOL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/guests/prebuilt/tool-p2.wasm"
);

/// A server with the image `tool:1` in its folder.
fn server(folder: &Path, args: &[&str]) -> Server {
    let data = folder.to_str().unwrap();
    let build = std::process::Command::new(WKUBE)
        .args(["image", "build", "--data-dir", data, "-t", "tool:1", TOOL])
        .output()
        .unwrap();
    assert!(build.status.success(), "{build:?}");
    Server::start(folder, args)
}

/// Runs the tool once in a pod of its own, and answers what it printed.
fn run(server: &Server, name: &str, args: &[&str]) -> String {
    let args: Vec<String> = args.iter().map(|arg| format!("'{arg}'")).collect();
    let pod = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{restartPolicy: Never, \
         containers: [{{name: c, image: 'tool:1', args: [{}]}}]}}}}",
        args.join(", ")
    );
    let file = server.kubeconfig.with_file_name(format!("{name}.yaml"));
    std::fs::write(&file, pod).unwrap();
    server.ok(WKUBE, &["apply", "-f", file.to_str().unwrap()]);
    server.until(WKUBE, &["get", "pod", name], |text| {
        text.contains("Completed") || text.contains("Error")
    });
    server.ok(WKUBE, &["logs", name])
}

/// An address of this machine that is no loopback, if it has one.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Nothing is sent: the kernel only chooses the address by which it would be.
    socket.connect(("192.0.2.1", 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

/// Listens on `ip` and answers each client once with what it said.
fn answer(ip: IpAddr) -> u16 {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            stream
                .write_all(format!("host heard {said}").as_bytes())
                .unwrap();
        }
    });
    port
}

#[test]
fn the_outside_is_reached_as_far_as_it_is_granted() {
    let Some(ip) = own_address() else {
        eprintln!("THIS MACHINE HAS ONLY A LOOPBACK: egress was not tested");
        return;
    };
    let (granted, other) = (answer(ip), answer(ip));
    let local = answer(Ipv4Addr::LOCALHOST.into());
    let folder = tempfile::tempdir().unwrap();
    let rules = format!("{ip}:{granted},localhost:{local}");
    let server = server(folder.path(), &["--egress", &rules]);
    let ask = |name: &str, to: &str| run(&server, name, &["ask", to, "hi"]);
    let attempt = |name: &str, to: &str| run(&server, name, &["try", to]);
    assert!(ask("a", &format!("{ip}:{granted}")).contains("answer host heard hi"));
    assert!(ask("b", &format!("10.128.0.1:{local}")).contains("answer host heard hi"));
    assert_eq!(attempt("c", &format!("{ip}:{other}")), "PermissionDenied\n");
    let api = std::fs::read_to_string(&server.kubeconfig).unwrap();
    let api = api
        .lines()
        .find_map(|line| line.split("127.0.0.1:").nth(1))
        .unwrap();
    let node = format!("10.128.0.1:{}", api.trim().trim_end_matches('"'));
    assert_eq!(attempt("d", &node), "PermissionDenied\n");
    assert_eq!(attempt("e", "169.254.169.254:80"), "PermissionDenied\n");
    // The loopback is the pod's own.
    assert_eq!(
        attempt("f", &format!("127.0.0.1:{local}")),
        "ConnectionRefused\n"
    );
    let events = server.until(WKUBE, &["get", "events"], |text| {
        text.matches("EgressDenied").count() == 3
    });
    assert!(
        events.contains(&format!("--egress {ip}:{other}")),
        "{events}"
    );
    assert!(server.terminate());
}

#[test]
fn egress_of_all_leaves_out_the_host_and_what_is_link_local() {
    let Some(ip) = own_address() else {
        eprintln!("THIS MACHINE HAS ONLY A LOOPBACK: egress was not tested");
        return;
    };
    let port = answer(ip);
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &["--egress", "all"]);
    let attempt = |name: &str, to: &str| run(&server, name, &["try", to]);
    assert_eq!(attempt("a", &format!("{ip}:{port}")), "PermissionDenied\n");
    assert_eq!(attempt("b", "169.254.169.254:80"), "PermissionDenied\n");
    assert_eq!(attempt("c", "10.128.0.1:1"), "PermissionDenied\n");
    assert!(server.terminate());
}
