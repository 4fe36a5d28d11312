//! A jail for tests of replays.

use crate::config::{Loaded, load};

const MANIFESTS: &str = r"
kind: Filter
apiVersion: gaoler.dev/v1alpha1
metadata: {name: logins}
spec:
  failRegex: ['^ login failed from <HOST>$']
  examples: [{line: '2023-06-17 11:11:50 +0000 login failed from 203.0.113.7', match: true, address: 203.0.113.7}]
---
kind: Jail
apiVersion: gaoler.dev/v1alpha1
metadata: {name: mail}
spec:
  filters: [logins]
  source: {files: [/nowhere.log], layout: {type: Text}}
  maxRetry: 2
  findTime: 10m
  banTime: 1h
  enforce: {ports: [25]}
---
kind: AllowList
apiVersion: gaoler.dev/v1alpha1
metadata: {name: office}
spec: {entries: [{prefix: 198.51.100.0/24}]}
";

/// A jail that bans at the second `login failed from ADDRESS` within ten minutes, for an hour, and never 198.51.100.0/24.
pub(crate) fn logins() -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("all.yaml");
    std::fs::write(&file, MANIFESTS).unwrap();
    let loaded = load(&[file], None);
    assert_eq!(loaded.all_problems().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    loaded
}
