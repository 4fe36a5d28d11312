//! A server for tests that turns the first requests away, as an API server does that has too many.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::connect::Access;

const TURNED_AWAY: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too many requests","reason":"TooManyRequests","code":429}"#;
const NOTHING: &str = r#"{"kind":"NodeList","apiVersion":"v1","metadata":{},"items":[]}"#;

/// Stands until the process ends.
pub(super) struct Server {
    /// The way to it.
    pub(super) access: Access,
    asked: Arc<AtomicUsize>,
    _directory: tempfile::TempDir,
}

impl Server {
    /// How many requests came.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Turns `times` requests away, and answers the others with an empty list of nodes.
pub(super) fn server(times: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("config");
    let address = listener.local_addr().unwrap();
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, users: [], contexts: [{{name: a, context: {{cluster: a, \
         user: \"\"}}}}], clusters: [{{name: a, cluster: {{server: \"http://{address}\"}}}}]}}"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            // A request without a body comes in one piece; a connection may come without a request.
            if !matches!(socket.read(&mut [0; 8192]), Ok(1..)) {
                continue;
            }
            let (status, body) = if count.fetch_add(1, Ordering::SeqCst) < times {
                ("429 Too Many Requests", TURNED_AWAY)
            } else {
                ("200 OK", NOTHING)
            };
            let head = "Content-Type: application/json\r\nConnection: close";
            let length = body.len();
            // Who asked may have gone.
            let _ = write!(socket, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}");
        }
    });
    Server { access: Access { kubeconfig: Some(kubeconfig), context: None }, asked, _directory: directory }
}
