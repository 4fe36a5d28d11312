//! Reads netlink attributes out of the kernel's answers. Numbers of nf_tables are big-endian.

use netlink_packet_core::NlasIterator;

/// The attributes of one object.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// All of them, kind and value.
    pub(super) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let bytes = self.0;
        NlasIterator::new(bytes).map_while(Result::ok).map(|nla| {
            let (kind, end) = (nla.kind(), usize::from(nla.length()));
            (kind, nla.into_inner().get(4..end).unwrap_or_default())
        })
    }

    /// The value of the first of this kind.
    pub(super) fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    pub(super) fn nested(self, kind: u16) -> Option<Self> {
        self.get(kind).map(Self)
    }

    pub(super) fn text(self, kind: u16) -> Option<String> {
        let bytes = self.get(kind)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(bytes.get(..end)?).into_owned())
    }

    pub(super) fn u32(self, kind: u16) -> Option<u32> {
        self.get(kind)?.try_into().ok().map(u32::from_be_bytes)
    }

    pub(super) fn u64(self, kind: u16) -> Option<u64> {
        self.get(kind)?.try_into().ok().map(u64::from_be_bytes)
    }
}
