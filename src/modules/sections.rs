//! The sections: what stands between `<Name …>` and `</Name>`. `config::load` obeys them; here they
//! are described.

use herdgate_conf::{Context, Description, Line, Overrides};

use super::{EVERYWHERE, HOST, SECTION, SERVER};

/// Every section that can be opened, with its module. Conditions such as `<IfModule>` belong to the
/// language.
pub const ALL: &[(&str, Description)] = &[
    (
        "core_module",
        section(
            "<VirtualHost>",
            "<VirtualHost address[:port]...>",
            SERVER,
            Overrides::NONE,
            "A host of its own at these addresses: `*` is any, and so is `_default_`; without a \
             port, or with `*` for it, any port. Among the hosts of the best matching address the \
             first one with the name that the client asks for answers, else the first one. A host \
             with an address of its own hides those at `*` from whoever connects there.",
        ),
    ),
    (
        "core_module",
        section(
            "<Directory>",
            "<Directory folder>",
            HOST,
            Overrides::NONE,
            "Settings for a folder and all that lies in it. `*`, `?` and `[…]` are wildcards that \
             do not cross a slash; after `~` stands a regular expression. Shorter paths apply \
             before longer ones.",
        ),
    ),
    (
        "core_module",
        section(
            "<DirectoryMatch>",
            "<DirectoryMatch regex>",
            HOST,
            Overrides::NONE,
            "Settings for files in whose path the regular expression is found. They apply after \
             all plain <Directory> sections. What a group `(?<name>…)` matches becomes the variable MATCH_NAME, which \
             SetEnvIf, expressions and rules may ask.",
        ),
    ),
    (
        "core_module",
        section(
            "<Files>",
            "<Files name>",
            FILES,
            Overrides::ALL,
            "Settings for files of this name, wherever they lie, or within the <Directory> around \
             it. `*`, `?` and `[…]` are wildcards; after `~` stands a regular expression. They \
             apply after <Directory>.",
        ),
    ),
    (
        "core_module",
        section(
            "<FilesMatch>",
            "<FilesMatch regex>",
            FILES,
            Overrides::ALL,
            "Settings for files in whose name the regular expression is found. Named groups become variables, as in \
             <DirectoryMatch>.",
        ),
    ),
    (
        "core_module",
        section(
            "<Location>",
            "<Location URL-path>",
            HOST,
            Overrides::NONE,
            "Settings for a URL path and all that lies below it. With `*`, `?` or `[…]` the whole \
             path must match; after `~` stands a regular expression. They apply last, in the order \
             of the file.",
        ),
    ),
    (
        "core_module",
        section(
            "<LocationMatch>",
            "<LocationMatch regex>",
            HOST,
            Overrides::NONE,
            "Settings for URL paths in which the regular expression is found. Named groups become variables, as in \
             <DirectoryMatch>.",
        ),
    ),
    (
        "core_module",
        section(
            "<If>",
            "<If expression>",
            EVERYWHERE,
            Overrides::ALL,
            "Settings that hold when the expression does. They apply last, in the order of merging. What an \
             expression may say is in Apache's manual under \"Expressions\"; it is evaluated before anybody is asked \
             for a password.",
        ),
    ),
    (
        "core_module",
        section(
            "<ElseIf>",
            "<ElseIf expression>",
            EVERYWHERE,
            Overrides::ALL,
            "Settings that hold when the expression does and those of the <If> and <ElseIf> before it do not.",
        ),
    ),
    (
        "core_module",
        section(
            "<Else>",
            "<Else>",
            EVERYWHERE,
            Overrides::ALL,
            "Settings that hold when no expression of the <If> and <ElseIf> before it does.",
        ),
    ),
    (
        "core_module",
        section(
            "<Limit>",
            "<Limit method...>",
            SECTION,
            Overrides::ALL,
            "Access control in it holds for these methods only; GET stands for HEAD, too. Other directives in it hold \
             for all methods.",
        ),
    ),
    (
        "core_module",
        section(
            "<LimitExcept>",
            "<LimitExcept method...>",
            SECTION,
            Overrides::ALL,
            "Access control in it holds for all methods but these.",
        ),
    ),
    (
        "authn_core_module",
        section(
            "<AuthnProviderAlias>",
            "<AuthnProviderAlias provider alias>",
            SERVER,
            Overrides::NONE,
            "A password file by a name, for AuthBasicProvider. The provider is `file`; what stands in the section, \
             AuthUserFile, holds while it is asked.",
        ),
    ),
    (
        "authz_core_module",
        section(
            "<AuthzProviderAlias>",
            "<AuthzProviderAlias provider alias arguments>",
            SERVER,
            Overrides::NONE,
            "What `Require provider arguments` asks by a name, for Require. What stands in the section, AuthGroupFile \
             for example, holds while it is asked. Several arguments stand in one pair of quotes.",
        ),
    ),
    (
        "authz_core_module",
        section(
            "<RequireAll>",
            "<RequireAll>",
            SECTION,
            Overrides::AUTH_CONFIG,
            "Holds if at least one Require in it holds and none fails.",
        ),
    ),
    (
        "authz_core_module",
        section(
            "<RequireAny>",
            "<RequireAny>",
            SECTION,
            Overrides::AUTH_CONFIG,
            "Holds if one Require in it holds. Requires without a container are in such a one.",
        ),
    ),
    (
        "authz_core_module",
        section(
            "<RequireNone>",
            "<RequireNone>",
            SECTION,
            Overrides::AUTH_CONFIG,
            "Fails if one Require in it holds, and says nothing otherwise.",
        ),
    ),
];

/// In `<Directory>`, but in no other section.
const FILES: &[Context] =
    &[Context::Server, Context::VirtualHost, Context::Directory, Context::Htaccess];

/// What `AllowOverride` must grant before a section may be opened in `.htaccess`; `None`: nobody knows it.
pub fn overrides(line: &Line) -> Option<Overrides> {
    let known =
        |(_, section): &&(&str, Description)| line.is(section.name.trim_matches(['<', '>']));
    ALL.iter().find(known).map(|(_, section)| section.overrides)
}

/// The names without brackets.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(_, section)| section.name.trim_matches(['<', '>']))
}

const fn section(
    name: &'static str,
    syntax: &'static str,
    contexts: &'static [Context],
    overrides: Overrides,
    docs: &'static str,
) -> Description {
    Description { name, syntax, default: None, contexts, overrides, docs }
}
