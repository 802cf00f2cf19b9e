//! `HttpProtocolOptions`: how strictly requests are read.

use herdgate_conf::{Args, Directive, Overrides, Problem};

use crate::config::HostSettings;
use crate::http::head::Form;
use crate::modules::HOST;

/// What `HttpProtocolOptions` says; `None` until a line sets it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ProtocolOptions {
    form: Option<Form>,
    registered_methods: Option<bool>,
    http09: Option<bool>,
}

impl ProtocolOptions {
    /// What a virtual host sees that says `inner` within a main server that says `self`.
    pub(super) fn merge(self, inner: Self) -> Self {
        Self {
            form: inner.form.or(self.form),
            registered_methods: inner.registered_methods.or(self.registered_methods),
            http09: inner.http09.or(self.http09),
        }
    }

    /// `Strict` or `Unsafe`
    pub(super) fn form(self) -> Form {
        self.form.unwrap_or_default()
    }

    /// `RegisteredMethods`: a method that nobody knows is refused before anything looks at the request.
    pub(super) fn registered_methods(self) -> bool {
        self.registered_methods.unwrap_or(false)
    }

    /// `Allow0.9`
    pub(super) fn http09(self) -> bool {
        self.http09.unwrap_or(false)
    }
}

pub(super) const HTTP_PROTOCOL_OPTIONS: Directive<HostSettings> = Directive {
    name: "HttpProtocolOptions",
    syntax: "HttpProtocolOptions [Strict|Unsafe] [RegisteredMethods|LenientMethods] [Allow0.9|Require1.0]",
    default: Some("Strict LenientMethods Require1.0"),
    contexts: HOST,
    overrides: Overrides::NONE,
    docs: "How requests are read. Unsafe bears with their looks: heads whose lines all end in LF, several blanks or tabs \
           between the words of a request line, a version in lower case, bytes above 0x7F, backslashes and encoded CR and \
           LF in the target, fields that may stand once and contradict themselves. Where a head or a body ends is never \
           a matter of looks: both a length and chunks, folded fields, a blank before a colon and the like are refused \
           all the same. With RegisteredMethods a method that nobody knows is answered 501 at once, before redirects and \
           access; with LenientMethods, in the end. Allow0.9 answers a line `GET /path` with nothing but the content. \
           Apache does so unless told otherwise; since such an answer can be made to look like any other, here it must be \
           asked for. The first host of an address says how heads are read.",
    apply,
};

fn apply(settings: &mut HostSettings, args: &mut Args<'_>) -> Result<(), Problem> {
    const PAIRS: [[&str; 2]; 3] =
        [["Strict", "Unsafe"], ["RegisteredMethods", "LenientMethods"], ["Allow0.9", "Require1.0"]];
    let mut chosen: [Option<&str>; 3] = [None; 3];
    let options = settings.core.protocol_options();
    let first = args.required()?;
    for word in std::iter::once(first).chain(&mut *args) {
        let found = PAIRS.iter().enumerate().find_map(|(number, pair)| {
            let name = pair.iter().find(|name| name.eq_ignore_ascii_case(&word.text))?;
            Some((number, *name))
        });
        let Some((number, name)) = found else {
            let help =
                "Strict or Unsafe, RegisteredMethods or LenientMethods, Allow0.9 or Require1.0";
            return Err(
                Problem::at(word, format!("{:?} is not one of its options", word.text)).help(help)
            );
        };
        if chosen[number].replace(name).is_some_and(|before| before != name) {
            let [one, other] = PAIRS[number];
            return Err(Problem::at(word, format!("'{one}' and '{other}' are mutually exclusive")));
        }
        match name {
            "Strict" => options.form = Some(Form::Strict),
            "Unsafe" => options.form = Some(Form::Unsafe),
            "RegisteredMethods" => options.registered_methods = Some(true),
            "LenientMethods" => options.registered_methods = Some(false),
            "Allow0.9" => options.http09 = Some(true),
            _ => options.http09 = Some(false),
        }
    }
    Ok(())
}
