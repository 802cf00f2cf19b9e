//! From a path to a file: whoever has a say in it, in Apache's order.

use std::path::PathBuf;

use super::{Request, Stop};
use crate::modules::{alias, rewrite, userdir, vhost_alias};
use crate::route::alias::{Mapped, join_below};
use crate::route::pattern::{self, Slash};

impl Request<'_> {
    /// The file of the place's path, which a rule may change; `None`: there is no root to look in.
    pub(super) fn translate(&mut self) -> Result<Option<Mapped>, Stop> {
        if self.host().asks_locations_first() {
            let path = std::mem::take(&mut self.place.path);
            let settings = self.settings_for(&path, None);
            self.place.path = path;
            self.place.settings = settings?;
            self.set_groups();
        }
        if let Some(mapped) = rewrite::translate(self)? {
            return Ok(Some(mapped));
        }
        if let Some(mapped) = alias::translate(self)? {
            return Ok(Some(mapped));
        }
        if let Some(mapped) = userdir::translate(self)? {
            return Ok(Some(mapped));
        }
        if let Some(mapped) = vhost_alias::translate(self)? {
            return Ok(Some(mapped));
        }
        let core = &self.host().settings.core;
        let below = core.below_path(&self.place.path);
        Ok(core.document_root().map(|root| join_below(root, below)))
    }

    /// `DocumentRoot`, or what stands for it.
    pub(crate) fn document_root(&self) -> Option<PathBuf> {
        match vhost_alias::document_root(self) {
            Some(root) => root,
            None => self.host().settings.core.document_root().map(PathBuf::from),
        }
    }

    /// Whether the path at hand is not what the client has asked for: Apache's sub-requests.
    pub(crate) fn is_subrequest(&self) -> bool {
        self.is_inquiry || self.is_trial
    }

    /// Whether a URL with this host and port is this host's own: by ServerName with its port, or ServerAlias. Without a
    /// port in ServerName no URL is, as in Apache.
    pub(crate) fn is_own_name(&self, name: &str, port: i64) -> bool {
        let host = self.host();
        let is_named = |alias: &String| {
            let name = name.to_ascii_lowercase();
            pattern::matches(alias.as_bytes(), name.as_bytes(), Slash::IsOrdinary)
        };
        let is_name = host.name.eq_ignore_ascii_case(name);
        let is_ours = is_name || host.settings.core.aliases().iter().any(is_named);
        let own_port = host.settings.core.name().and_then(|name| name.port);
        is_ours && own_port.is_some_and(|own| i64::from(u16::from(own)) == port)
    }
}
