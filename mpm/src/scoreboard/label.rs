//! What the server says about itself in words, since numbers cannot: its gate, and where it listens.

use super::Scoreboard;

/// Words about the server as a whole, each a record like [`Detail`](super::Detail): its name as the client, its text as the request.
/// Written by the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// What stands before accept.
    Gate = 0,
    /// Where it listens.
    Listen = 1,
}
/// Room for labels.
pub(super) const LABELS: usize = 4;

impl Label {
    fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Listen => "listen",
        }
    }
}

impl Scoreboard {
    /// Says something about the server that numbers cannot: a text, cut to 127 bytes.
    pub(crate) fn set_label(&self, label: Label, text: &str) {
        let labels = self.areas.labels.of(&self.mapping);
        labels[label as usize].write(0, label.name().as_bytes(), b"", text.as_bytes());
    }
}
