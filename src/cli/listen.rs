//! Where a daemon serves probes and metrics, as an argument.

use std::net::SocketAddr;
use std::str::FromStr;

/// An address with a port, or nowhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listen(pub(super) Option<SocketAddr>);

impl FromStr for Listen {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        text.parse().map(|address| Self(Some(address))).map_err(|_| {
            format!("`{text}` is neither an address with a port, such as 127.0.0.1:9102, nor `off`")
        })
    }
}
