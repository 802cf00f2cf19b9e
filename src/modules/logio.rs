//! # mod_logio: bytes on the wire, in access logs
//!
//! `%I`, `%O` and `%S` in a LogFormat: `log::access` counts them always.

use herdgate_conf::{Directive, Overrides};

use super::{EVERYWHERE, Module};
use crate::config::DirSettings;

pub(super) const MODULE: Module = Module {
    name: "logio_module",
    file: "mod_logio.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[Directive {
    name: "LogIOTrackTTFB",
    syntax: "LogIOTrackTTFB On|Off",
    default: Some("Off"),
    contexts: EVERYWHERE,
    overrides: Overrides::ALL,
    docs: "Without effect: nobody measures the time to the first byte, and `%^FB` is a dash.",
    apply: |_, args| args.flag().map(|_| ()),
}];
