//! Who answers: the handlers by their names, as SetHandler and AddHandler give them.

use super::{Request, Stop};
use crate::log::Quoted;
use crate::modules::{info, mime, negotiation, status};
use crate::response::Response;

/// Answers a request whose place is known and opened, if there is anything to open.
type Handler = fn(&mut Request<'_>) -> Result<Response, Stop>;

/// Every handler that a name leads to. All other names, which are those of programs that are not here, lead to the
/// default handler, as in Apache.
const HANDLERS: &[(&str, Handler)] = &[
    ("default-handler", default_handler),
    ("server-info", info::handler),
    ("server-status", status::handler),
    (negotiation::MAP_HANDLER, negotiation::type_map),
    (negotiation::MAP_TYPE, negotiation::type_map),
];

/// The file as it is, or what stands for a folder.
fn default_handler(request: &mut Request<'_>) -> Result<Response, Stop> {
    request.serve()
}

/// The handler of a request.
pub(super) fn of(request: &Request<'_>) -> Handler {
    let name = name(request);
    if let Some(name) = name {
        request.trace("core", format_args!("the handler is {}", Quoted(name.as_bytes())));
    }
    let known = HANDLERS.iter().find(|(known, _)| Some(*known) == name);
    known.map_or(default_handler, |(_, handler)| *handler)
}

/// The handler's name, if there is one: SetHandler's, else what AddHandler says about the file.
pub(super) fn name<'r>(request: &'r Request<'_>) -> Option<&'r str> {
    let settings = &request.place.settings;
    let by_extension = || {
        if !settings.mime.has_handlers() {
            return None; // Nearly always, and the name need not be looked at.
        }
        let types = &request.server.config.server.types;
        mime::describe_plainly(settings, types, &request.place.name_for_types()).handler()
    };
    settings.core.handler().or_else(by_extension)
}
