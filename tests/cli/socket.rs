//! The control socket's protocol, spoken by hand.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use crate::host::Host;

/// What the daemon answers to these bytes.
fn answer(host: &Host, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(host.path("sock")).unwrap();
    // A daemon that has heard enough may hang up first.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn a_request_is_one_line_and_so_is_the_answer() {
    let host = Host::guarded();
    let answer = answer(&host, b"{\"version\":1,\"verb\":\"why\",\"address\":\"203.0.113.7\"}\n");
    assert_eq!(
        answer,
        "{\"done\":{\"address\":\"203.0.113.7\",\"dropped\":false,\"bans\":[],\"closed\":[],\"allowed\":[],\
         \"watched\":[]}}\n"
    );
}

#[test]
fn another_version_is_told_apart_from_nonsense() {
    let host = Host::guarded();
    let newer = answer(&host, b"{\"version\":2,\"verb\":\"somethingNew\"}\n");
    assert!(newer.contains("refused") && newer.contains("version 1") && newer.contains("restart"), "{newer}");
    let unknown = answer(&host, b"{\"version\":1,\"verb\":\"explode\"}\n");
    assert!(unknown.contains("not a request") && unknown.contains("explode"), "{unknown}");
}

#[test]
fn who_speaks_to_the_socket_bans_no_large_part_of_the_internet_either() {
    let host = Host::guarded();
    for (subject, least) in [("0.0.0.0/0", 8), ("64.0.0.0/7", 8), ("2000::/15", 16)] {
        let ask = format!("{{\"version\":1,\"verb\":\"ban\",\"subject\":\"{subject}\"}}\n");
        let answer = answer(&host, ask.as_bytes());
        assert!(answer.contains("refused") && answer.contains(&format!("at least /{least}")), "{answer}");
    }
    let answer = answer(&host, b"{\"version\":1,\"verb\":\"ban\",\"subject\":\"64.0.0.0/8\"}\n");
    assert!(answer.contains("done"), "{answer}");
}

#[test]
fn nonsense_never_ends_the_daemon() {
    let mut host = Host::guarded();
    let long = vec![b'x'; 1 << 20];
    let deep = [vec![b'['; 60_000], vec![b'\n']].concat();
    for bytes in [&b""[..], b"\n", b"\0\xff\n", b"{", b"null\n", b"GET / HTTP/1.1\r\n\r\n", &long, &deep] {
        let _ = answer(&host, bytes);
        assert!(host.is_running());
    }
    assert!(host.ask(&["status"]).status.success());
}

#[test]
fn many_who_say_nothing_do_not_keep_others_out_for_long() {
    let host = Host::guarded();
    let silent: Vec<UnixStream> = (0..70).map(|_| UnixStream::connect(host.path("sock")).unwrap()).collect();
    assert!(host.ask(&["status"]).status.success());
    drop(silent);
}
