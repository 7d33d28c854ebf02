//! Guests in pods of a real server: what they may reach, what is kept of what they say, what is done
//! when they take too much.

use crate::server::{Server, WKUBE};
use http::Method;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, ToSocketAddrs, UdpSocket};
use std::path::Path;
use wkube::client::{Connection, connect};

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

#[test]
fn a_name_that_is_granted_is_looked_up_and_reached_at_its_port_alone() {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().unwrap().to_owned();
    let found = (name.as_str(), 0).to_socket_addrs();
    let Some(ip) = found.into_iter().flatten().map(|found| found.ip()).next() else {
        eprintln!("THIS MACHINE DOES NOT KNOW ITS OWN NAME: egress by name was not tested");
        return;
    };
    let (granted, other) = (answer(ip), answer(ip));
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &["--egress", &format!("{name}:{granted}")]);
    let to = format!("{name}:{granted}");
    assert!(run(&server, "a", &["ask", &to, "hi"]).contains("answer host heard hi"));
    let to = format!("{name}:{other}");
    assert_eq!(run(&server, "b", &["try", &to]), "PermissionDenied\n");
    assert_eq!(
        run(&server, "c", &["resolve", "example.com:80"]),
        "unknown\n"
    );
    let events = server.until(WKUBE, &["get", "events"], |text| {
        text.matches("EgressDenied").count() == 2
    });
    for words in [
        format!(":{other} refused: "),
        "Connection to example.com refused: it is no name of the cluster".to_owned(),
        "wkube serve --egress example.com:PORT would".to_owned(),
    ] {
        assert!(events.contains(&words), "{words}: {events}");
    }
    assert!(server.terminate());
}

/// Makes a pod of the tool that goes on.
fn start(server: &Server, name: &str, spec: &str) {
    let pod = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, \
         spec: {{terminationGracePeriodSeconds: 1, containers: [{{name: c, image: 'tool:1', {spec}}}]}}}}"
    );
    let file = server.kubeconfig.with_file_name(format!("{name}.yaml"));
    std::fs::write(&file, pod).unwrap();
    server.ok(WKUBE, &["apply", "-f", file.to_str().unwrap()]);
}

async fn log(server: &Server, name: &str, query: &str) -> String {
    let connection = Connection {
        kubeconfig: Some(server.kubeconfig.clone()),
        ..Connection::default()
    };
    let (client, _, _) = connect(&connection, "test").await.unwrap();
    let path = format!("/api/v1/namespaces/default/pods/{name}/log?{query}");
    let bytes = client.call(Method::GET, &path, None).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn logs_are_followed_over_rotation_and_found_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[]);
    // Twelve million bytes are more than one file holds, and less than it may print at once.
    start(&server, "spam", "args: [spam]");
    server.until(WKUBE, &["get", "pod", "spam"], |text| {
        text.contains("Running")
    });
    let followed = log(&server, "spam", "follow=true&limitBytes=12000000").await;
    assert_eq!(followed.len(), 12_000_000);
    let line = "spam ".repeat(200);
    let lines: Vec<&str> = followed.lines().collect();
    for (at, own) in lines.iter().enumerate().take(lines.len() - 1) {
        assert_eq!(*own, line, "line {at}");
    }
    server.ok(WKUBE, &["delete", "pod", "spam"]);

    start(&server, "twice", "args: [print, one, two]");
    server.until(WKUBE, &["get", "pod", "twice"], |text| {
        text.contains(" 1 (")
    });
    run(&server, "once", &["print", "one"]);
    let check = async |server: &Server| {
        let all = log(server, "once", "").await;
        assert!(all.starts_with("args [\"one\"]\n"), "{all}");
        let tail = log(server, "once", "tailLines=1").await;
        assert_eq!(tail, "to stderr\n");
        assert_eq!(log(server, "once", "limitBytes=4").await, "args");
        assert_eq!(log(server, "once", "sinceSeconds=3600").await, all);
        let stamped = log(server, "once", "timestamps=true&tailLines=1").await;
        let (time, text) = stamped.split_once(' ').unwrap();
        assert!(
            time.parse::<jiff::Timestamp>().is_ok() && text == "to stderr\n",
            "{stamped}"
        );
        let previous = log(server, "twice", "previous=true").await;
        assert!(
            previous.starts_with("args [\"one\", \"two\"]\n"),
            "{previous}"
        );
        let followed = log(server, "once", "follow=true").await;
        assert_eq!(followed, all, "what has ended is followed to its end");
    };
    check(&server).await;
    server.kill();
    let server = Server::start(folder.path(), &[]);
    check(&server).await;
    assert!(server.terminate());
}

#[tokio::test]
async fn a_node_that_runs_out_of_memory_says_so_and_ends_the_greediest() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &["--node-memory", "200Mi"]);
    start(
        &server,
        "modest",
        "args: [sleep], resources: {requests: {memory: 20Mi}}",
    );
    server.until(WKUBE, &["get", "pod", "modest"], |text| {
        text.contains("Running")
    });
    start(&server, "greedy", "args: [allocate]");
    let greedy = server.until(WKUBE, &["get", "pod", "greedy", "-o", "yaml"], |text| {
        text.contains("phase: Failed")
    });
    for words in [
        "reason: Evicted",
        "The node was low on resource: memory. Threshold quantity: 5%, available:",
        "Container c was",
        "type: DisruptionTarget",
        "reason: TerminationByKubelet",
    ] {
        assert!(greedy.contains(words), "{words}: {greedy}");
    }
    let node = server.until(WKUBE, &["get", "node", "wkube-0", "-o", "yaml"], |text| {
        text.contains("node.kubernetes.io/memory-pressure")
    });
    assert!(node.contains("KubeletHasInsufficientMemory"), "{node}");
    let events = server.until(WKUBE, &["get", "events", "-A"], |text| {
        [
            "Evicted",
            "EvictionThresholdMet",
            "NodeHasInsufficientMemory",
        ]
        .iter()
        .all(|reason| text.contains(reason))
    });
    assert!(events.contains("pod/greedy"), "{events}");
    assert!(
        server
            .ok(WKUBE, &["get", "pod", "modest"])
            .contains("Running")
    );
    assert!(server.terminate());
}

#[test]
fn a_host_port_leads_to_the_guest_and_a_second_pod_waits_for_it() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[]);
    let spec =
        format!("args: [echo, '0.0.0.0:7000'], ports: [{{containerPort: 7000, hostPort: {port}}}]");
    start(&server, "first", &spec);
    server.until(WKUBE, &["get", "pod", "first"], |text| {
        text.contains("Running")
    });
    start(&server, "second", &spec);
    let answer = loop {
        // The guest listens a moment after its container runs.
        let mut stream = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let mut answer = String::new();
        let asked = stream
            .write_all(b"ping")
            .and_then(|()| stream.shutdown(std::net::Shutdown::Write))
            .and_then(|()| stream.read_to_string(&mut answer));
        if asked.is_ok() && !answer.is_empty() {
            break answer;
        }
    };
    assert_eq!(answer, "ping");
    let events = server.until(WKUBE, &["get", "events"], |text| text.contains("FailedSch"));
    assert!(events.contains("didn't have free ports"), "{events}");
    server.ok(WKUBE, &["delete", "pod", "first"]);
    server.until(WKUBE, &["get", "pod", "second"], |text| {
        text.contains("Running")
    });
    assert!(server.terminate());
}
