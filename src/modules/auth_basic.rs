//! # mod_auth_basic: a name and a password with every request (RFC 7617)
//!
//! ```text
//! Authorization: Basic YWxpY2U6c2VjcmV0 ──▶ alice, secret ──▶ each AuthBasicProvider, until one knows alice
//!                                                                │ right            │ wrong, or nobody does
//!                                                                ▼                  ▼
//!                                                        who may have it?     401, WWW-Authenticate: Basic realm="…"
//! ```
//!
//! - The name is logged as soon as it is read: with status 401 it may be anybody's.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use herdgate_conf::{Args, Directive, Overrides, Problem, Word};

use super::authn_file::{self, Authn};
use super::providers::{AuthnAlias, Providers};
use super::{Module, SECTION, authn_core};
use crate::config::DirSettings;
use crate::expr::{Groups, Text};
use crate::http::status::Status;
use crate::log::{Level, Quoted};
use crate::request::{Refusal, Request, Stop};

/// mod_auth_basic's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct AuthBasic {
    authoritative: Option<bool>,
    /// Empty: nobody has said anything, which is `file`.
    providers: Vec<Provider>,
    fake: Option<Option<Fake>>,
}

/// Who may know a password.
#[derive(Debug, Clone)]
enum Provider {
    /// `file`: the place's own AuthUserFile.
    File,
    /// What an `<AuthnProviderAlias>` has named.
    Alias(Arc<AuthnAlias>),
}

/// `AuthBasicFake`: what the handler sees instead of what the client has sent.
#[derive(Debug, Clone)]
struct Fake {
    user: Text,
    password: Text,
}

impl AuthBasic {
    /// `AuthBasicAuthoritative`
    pub fn authoritative(&self) -> bool {
        self.authoritative.unwrap_or(true)
    }

    /// Whether there is an `AuthBasicFake`.
    pub fn fakes(&self) -> bool {
        self.fake.as_ref().is_some_and(Option::is_some)
    }

    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            authoritative: inner.authoritative.or(self.authoritative),
            providers: match inner.providers.as_slice() {
                [] => self.providers.clone(),
                inner => inner.to_vec(),
            },
            fake: inner.fake.clone().or_else(|| self.fake.clone()),
        }
    }
}

/// Who somebody says to be.
struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

/// check_user_id: the client proves who it is, or is asked to. `None`: another module may know how.
pub(crate) fn check_user_id(request: &mut Request<'_>) -> Result<Option<()>, Stop> {
    let path = || Quoted(&request.place.path);
    let Some(realm) = authn_core::realm(request)? else {
        let entry = request.log(Level::Error, "auth_basic");
        entry.say(format_args!("AH01615: need AuthName: {}", path()));
        return Err(Refusal::stop(Status::INTERNAL_SERVER_ERROR));
    };
    request.auth_type = Some("Basic");
    let Some(Credentials { user, password }) = credentials(request) else {
        return Err(challenge(&realm));
    };
    request.user = Some(user.clone());
    let answer = ask_providers(request, &user, &password)?;
    let authoritative = request.place.settings.auth_basic.authoritative();
    let (user, path) = (Quoted(&user), Quoted(&request.place.path));
    let entry = request.log(Level::Error, "auth_basic");
    match answer {
        Authn::Granted => return Ok(Some(())),
        Authn::Denied => entry.say(format_args!(
            "AH01617: user {user}: authentication failure for \"{path}\": Password Mismatch"
        )),
        Authn::UserNotFound | Authn::GeneralError if !authoritative => return Ok(None),
        Authn::UserNotFound => entry.say(format_args!("AH01618: user {user} not found: {path}")),
        Authn::GeneralError => return Err(Refusal::stop(Status::INTERNAL_SERVER_ERROR)),
    }
    Err(challenge(&realm))
}

/// Asks one after the other, until one knows the user.
fn ask_providers(request: &mut Request<'_>, user: &[u8], password: &[u8]) -> Result<Authn, Stop> {
    let settings = Arc::clone(&request.place.settings);
    let providers = match settings.auth_basic.providers.as_slice() {
        [] => &[Provider::File],
        providers => providers,
    };
    let mut answer = Authn::UserNotFound;
    for provider in providers {
        let own = match provider {
            Provider::File => settings.authn_file.clone(),
            Provider::Alias(alias) => settings.authn_file.merge(&alias.settings.authn_file),
        };
        answer = authn_file::check_password(request, &own, user, password)?;
        if answer != Authn::UserNotFound {
            break;
        }
    }
    Ok(answer)
}

/// 401: the client may try, or try again. It is no news to the client that a password is needed, so nothing is logged.
pub(crate) fn challenge(realm: &str) -> Stop {
    let mut value = String::from("Basic realm=\"");
    for character in realm.chars() {
        if character == '"' {
            value.push('\\');
        }
        value.push(character);
    }
    value.push('"');
    Stop::Refused(Refusal::new(Status::UNAUTHORIZED).with("WWW-Authenticate", value.as_bytes()))
}

/// What the client has sent; `None` if it has sent nothing that could be understood.
fn credentials(request: &Request<'_>) -> Option<Credentials> {
    let field = request.fields.header("Authorization")?;
    let (scheme, rest) = match memchr::memchr(b' ', field) {
        Some(blank) => (&field[..blank], &field[blank + 1..]),
        None => (field, &[][..]),
    };
    if !scheme.eq_ignore_ascii_case(b"Basic") {
        request.log(Level::Error, "auth_basic").say(format_args!(
            "AH01614: client used wrong authentication scheme: {}",
            Quoted(&request.place.path)
        ));
        return None;
    }
    Some(Credentials::decode(rest.trim_ascii_start()))
}

impl Credentials {
    /// Base64 up to the first byte that is none, as Apache reads it; a NUL ends the text, since it ends every password.
    fn decode(text: &[u8]) -> Self {
        let is_digit = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'+' | b'/');
        let mut digits = text.iter().take_while(is_digit).count();
        if digits % 4 == 1 {
            digits -= 1; // Six bits are no byte.
        }
        let decoded = LENIENT.decode(&text[..digits]).unwrap_or_default();
        let end = memchr::memchr(0, &decoded).unwrap_or(decoded.len());
        let decoded = &decoded[..end];
        let colon = memchr::memchr(b':', decoded);
        let (user, password) = match colon {
            Some(colon) => (&decoded[..colon], &decoded[colon + 1..]),
            None => (decoded, &[][..]),
        };
        Self { user: user.to_vec(), password: password.to_vec() }
    }
}

/// Base64 that ends wherever it ends.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Among the fixups, the last: `AuthBasicFake`.
pub(crate) fn fixups(request: &mut Request<'_>) -> Result<(), Stop> {
    let Some(Some(fake)) = &request.place.settings.auth_basic.fake else { return Ok(()) };
    let evaluate =
        |text: &Text| text.evaluate(&request.known(), &Groups::new()).map_err(|_| Stop::WouldBlock);
    let (user, password) = (evaluate(&fake.user)?, evaluate(&fake.password)?);
    for (value, message) in [
        (&user, "AH02458: AuthBasicFake: empty username"),
        (&password, "AH02459: AuthBasicFake: empty password"),
    ] {
        if value.is_empty() {
            let path = Quoted(&request.place.path);
            let entry = request.log(Level::Info, "auth_basic");
            entry.say(format_args!("{message} expression for URI '{path}', ignoring"));
            return Ok(());
        }
    }
    let digits = BASE64_STANDARD.encode([&user[..], b":", &password].concat());
    let value = format!("Basic {digits}");
    let is_other = |(name, _): &(&[u8], &[u8])| !name.eq_ignore_ascii_case(b"Authorization");
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> = request
        .fields
        .iter()
        .filter(is_other)
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    fields.push((b"Authorization".to_vec(), value.into_bytes()));
    request.fields.replace(fields.iter().map(|(name, value)| (&name[..], &value[..])));
    Ok(())
}

pub(super) const MODULE: Module = Module {
    name: "auth_basic_module",
    file: "mod_auth_basic.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "AuthBasicProvider",
        syntax: "AuthBasicProvider provider...",
        default: Some("file"),
        contexts: SECTION,
        overrides: Overrides::AUTH_CONFIG,
        docs: "Who knows passwords: `file`, which is AuthUserFile, and what <AuthnProviderAlias> has named. The first one \
               that knows the user decides. Apache's dbm, dbd, ldap, socache and anon are not supported: they are \
               errors.",
        apply: |settings, args| {
            let named = named(args, &settings.providers)?;
            settings.auth_basic.providers.extend(named);
            Ok(())
        },
    },
    Directive {
        name: "AuthBasicAuthoritative",
        syntax: "AuthBasicAuthoritative On|Off",
        default: Some("On"),
        contexts: SECTION,
        overrides: Overrides::AUTH_CONFIG,
        docs: "Whether a user whom no provider knows is refused here. With Off, other modules would be asked; there is \
               none, so the answer is 500, as in Apache.",
        apply: |settings, args| {
            settings.auth_basic.authoritative = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "AuthBasicFake",
        syntax: "AuthBasicFake Off|user [password]",
        default: Some("Off"),
        contexts: SECTION,
        overrides: Overrides::AUTH_CONFIG,
        docs: "Replaces the Authorization field that handlers and logs see by this user and password (`password` unless \
               written). Both may be expressions.",
        apply: |settings, args| {
            settings.auth_basic.fake = Some(fake(args)?);
            Ok(())
        },
    },
    Directive {
        name: "AuthBasicUseDigestAlgorithm",
        syntax: "AuthBasicUseDigestAlgorithm Off",
        default: Some("Off"),
        contexts: SECTION,
        overrides: Overrides::AUTH_CONFIG,
        docs: "Apache can check passwords that were stored for digest authentication. Herdgate cannot: anything but Off \
               is an error.",
        apply: |_, args| {
            let word = args.required()?;
            if word.text.eq_ignore_ascii_case("off") {
                return Ok(());
            }
            Err(Problem::at(word, "passwords for digest authentication are not supported")
                .help("store them anew with htpasswd -B, and let AuthUserFile name that file"))
        },
    },
];

/// The providers that a line names.
fn named(args: &mut Args<'_>, providers: &Providers) -> Result<Vec<Provider>, Problem> {
    const APACHES: [&str; 6] = ["anon", "dbd", "dbm", "fcgi", "ldap", "socache"];
    let first = args.required()?;
    let provider = |word: &Word| match word.text.as_str() {
        "file" => Ok(Provider::File),
        name => match providers.authn(name) {
            Some(alias) => Ok(Provider::Alias(alias)),
            None if APACHES.contains(&name) => {
                let message = format!("the Authn provider {name} is not supported");
                Err(Problem::at(word, message).help("file is, with AuthUserFile"))
            }
            None => Err(Problem::at(word, format!("Unknown Authn provider: {name}"))),
        },
    };
    std::iter::once(first).chain(args).map(provider).collect()
}

fn fake(args: &mut Args<'_>) -> Result<Option<Fake>, Problem> {
    let first = args.required()?;
    if first.text.eq_ignore_ascii_case("off") && args.remaining() == 0 {
        return Ok(None);
    }
    let parse = |word: &Word| {
        Text::parse(&word.text).map_err(|message| {
            Problem::at(word, format!("Could not parse fake expression: {message}"))
        })
    };
    let user = parse(first)?;
    let password = match args.next() {
        Some(word) => parse(word)?,
        None => Text::parse("password").expect("a plain word is an expression"),
    };
    Ok(Some(Fake { user, password }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_leniently() {
        for (text, user, password) in [
            ("YWxpY2U6c2VjcmV0", "alice", "secret"),
            ("YWxpY2U6c2U6Y3JldA==", "alice", "se:cret"),
            ("YWxpY2U6c2U6Y3JldA", "alice", "se:cret"),
            ("YWxpY2U6c2U6Y3JldA== and more", "alice", "se:cret"),
            ("YWxpY2U=", "alice", ""),
            ("OnNlY3JldA==", "", "secret"),
            ("YWxpY2U6cwBlY3JldA==", "alice", "s"),
            ("", "", ""),
            ("!", "", ""),
            ("Y", "", ""),
        ] {
            let read = Credentials::decode(text.as_bytes());
            assert_eq!(
                (&read.user[..], &read.password[..]),
                (user.as_bytes(), password.as_bytes()),
                "{text}"
            );
        }
    }
}
