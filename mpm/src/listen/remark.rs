//! What there is to say after listening: remarks, or why a place could not be had.

use std::fmt;
use std::io;

use super::spec::{Address, ListenSpec, Place};

/// What is no failure, and should be known.
#[derive(Debug)]
pub enum Remark {
    /// The kernel queues fewer connections than `ListenBacklog` asks for.
    BacklogCut {
        /// What was asked for.
        asked: u32,
        /// What it is.
        limit: u32,
    },
    /// The kernel refused a buffer's size.
    BufferSize {
        /// Whose.
        directive: &'static str,
        /// Why.
        error: io::Error,
    },
    /// No line asks any more for a socket that was lent to us. It stays open, and whoever connects to it waits.
    Unclaimed {
        /// Which one.
        address: Address,
        /// Who has lent it.
        lender: String,
    },
    /// A place has fewer buckets than were asked for.
    FewerBuckets {
        /// Which one.
        place: Place,
        /// How many there are.
        buckets: usize,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BacklogCut { asked, limit } => write!(
                f,
                "ListenBacklog {asked} is cut to {limit} by the kernel: net.core.somaxconn"
            ),
            Self::BufferSize { directive, error } => {
                write!(f, "{directive} could not be set: {error}")
            }
            Self::Unclaimed { address, lender } => write!(
                f,
                "{address} comes from {lender}, and no Listen line asks for it any more: clients wait there in vain"
            ),
            Self::FewerBuckets { place, buckets: 1, error } => {
                write!(f, "no further listener buckets for {place}, using one: {error}")
            }
            Self::FewerBuckets { place, buckets, error } => {
                write!(f, "no further listener buckets for {place}, using {buckets}: {error}")
            }
        }
    }
}

/// A place that could not be had.
#[derive(Debug)]
pub struct BindError {
    /// Which one.
    pub spec: ListenSpec,
    /// Why.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not bind to address {}: {}", self.spec, self.source)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
