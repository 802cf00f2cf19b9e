//! # password: does what somebody typed match what is stored?
//!
//! ```text
//! $2y$05$…        bcrypt                 takes long on purpose
//! $apr1$salt$…    Apache's MD5           1000 rounds; $1$ is the same under another name
//! $5$… $6$…       crypt(3) by SHA-2      takes long on purpose
//! {SHA}base64     one SHA-1, no salt     quick, for whoever steals the file, too
//! 13 digits       crypt(3) by DES        old: eight letters of a password count
//! $y$j9T$salt$…   yescrypt               takes long, and memory, on purpose
//! anything else   scrypt and its kind    unknown here, and never right
//! ```
//!
//! - Comparing takes the same time wherever the difference is.
//! - What takes long is never done where somebody else would have to wait: [`Stored::is_slow`].
//! - Whoever was right once is remembered by a digest of all that was compared, so that a browser that sends its password
//!   with every request pays once: [`Verified`].

mod des_crypt;
mod md5_crypt;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha_crypt::{PasswordVerifier as _, ShaCrypt};
use sha1::Digest as _;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use yescrypt::Yescrypt;

/// A password as htpasswd(1) stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored<'s> {
    text: &'s str,
    scheme: Scheme,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Bcrypt,
    /// Which of the two names it has: `$apr1$` or `$1$`.
    Md5(&'static str),
    Sha2,
    Sha1,
    Des,
    Yescrypt,
}

/// What libxcrypt asks for at its highest cost.
const YESCRYPT_BYTES_MAX: u64 = 1 << 30;

/// The alphabet of crypt(3), beginning with zero.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl<'s> Stored<'s> {
    /// What is stored; `None` if it is in no form that is known here.
    pub fn parse(text: &'s [u8]) -> Option<Self> {
        const SCHEMES: [(&str, Scheme); 9] = [
            ("$2y$", Scheme::Bcrypt),
            ("$2a$", Scheme::Bcrypt),
            ("$2b$", Scheme::Bcrypt),
            ("$apr1$", Scheme::Md5("$apr1$")),
            ("$1$", Scheme::Md5("$1$")),
            ("$5$", Scheme::Sha2),
            ("$6$", Scheme::Sha2),
            ("{SHA}", Scheme::Sha1),
            ("$y$", Scheme::Yescrypt),
        ];
        let text = std::str::from_utf8(text).ok()?;
        let known = SCHEMES.into_iter().find(|(prefix, _)| text.starts_with(prefix));
        let scheme = known.map(|(_, scheme)| scheme);
        let des = Some(Scheme::Des).filter(|_| des_crypt::is_hash(text));
        Some(Self { text, scheme: scheme.or(des)? })
    }

    /// Whether checking takes so long that others must not wait for it.
    pub fn is_slow(self) -> bool {
        self.scheme != Scheme::Sha1
    }

    /// Whether `password` is the one.
    pub fn matches(self, password: &[u8]) -> bool {
        match self.scheme {
            Scheme::Bcrypt => bcrypt::verify(password, self.text).unwrap_or(false),
            Scheme::Md5(name) => same(&md5_crypt::hash(name, password, self.text), self.text),
            Scheme::Des => same(&des_crypt::hash(password, self.text), self.text),
            Scheme::Sha2 => ShaCrypt::default().verify_password(password, self.text).is_ok(),
            Scheme::Yescrypt => {
                yescrypt_has_room(self.text)
                    && Yescrypt::default().verify_password(password, self.text).is_ok()
            }
            Scheme::Sha1 => {
                let digest = BASE64_STANDARD.encode(sha1::Sha1::digest(password));
                same(&format!("{{SHA}}{digest}"), self.text)
            }
        }
    }
}

/// Whether what is stored asks for no more memory than a login may cost. Whoever may write `.htaccess` may name a file of
/// passwords.
fn yescrypt_has_room(text: &str) -> bool {
    let params = text.split('$').nth(2).and_then(|params| params.parse::<yescrypt::Params>().ok());
    params.is_some_and(|params| {
        let bytes = params.n().saturating_mul(u64::from(params.r()).saturating_mul(128));
        bytes <= YESCRYPT_BYTES_MAX
    })
}

fn same(computed: &str, stored: &str) -> bool {
    computed.as_bytes().ct_eq(stored.as_bytes()).into()
}

/// Remembered at most; beyond, all are forgotten, and pay once more.
const VERIFIED_MAX: usize = 4096;

/// Passwords that were right, by a digest of user, password and what is stored. Whoever changes a password changes what
/// is stored, so nothing here can outlive it. Shared by all threads of a process.
#[derive(Debug, Default)]
pub struct Verified {
    digests: Mutex<HashSet<[u8; 32]>>,
}

impl Verified {
    /// Whether it was right before.
    pub fn has(&self, user: &[u8], password: &[u8], stored: Stored<'_>) -> bool {
        let digest = digest(user, password, stored);
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest)
    }

    /// Remembers that it was right.
    pub fn add(&self, user: &[u8], password: &[u8], stored: Stored<'_>) {
        let digest = digest(user, password, stored);
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.len() >= VERIFIED_MAX {
            digests.clear();
        }
        digests.insert(digest);
    }
}

/// Each part with its length before it, so that no two triples run into one another.
fn digest(user: &[u8], password: &[u8], stored: Stored<'_>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in [user, password, stored.text.as_bytes()] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by htpasswd(1) and openssl-passwd(1).
    const STORED: &[(&str, &str)] = &[
        ("secret", "$2y$04$SQ4C0T1aqltgzSobWFPvGOtopZd17NoBGs.byHV.4McPs4a1/Atpi"),
        (
            "with spaces & ünïcode that is quite long, longer than seventy-two bytes to be cut",
            "$2y$04$WDIJp4m.GrswVk/Pa2x71OzAgdXGC0e75FZkaMpQMCUfOIDf5u1jy",
        ),
        ("secret", "$apr1$Pzjac6RE$OZPo8PFQjqV/Hi7yFgZcr0"),
        ("pässword of more than sixteen bytes", "$apr1$yaXA3mHE$pJLd8R5IUsVu0tCtlbELK."),
        ("secret", "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1"),
        ("secret", "ZDwYiAxqTh2Fo"),
        ("QrmKiq/d", "j9h0yTOpecnEA"),
        ("ODhlvWnP", "M/2MIVunakkFM"),
        ("SCr4CG/w", "Qq4hvyzbCk3jM"),
        ("J+D3SZxC", "IK7bTXdV/xBJw"),
        ("fT4TrKV0", "y0mfnbTFLigLs"),
        ("UfGmaTUW", "pxexPQigejJrg"),
        // Made by libxcrypt.
        ("secret", "$y$j9T$LdJMENpBABJJ3hIHjB1Bi.$hLaZXcKh6m7JYeftf3YBX9tUkp4CF5Pqe06e1mb9bt8"),
        ("secret", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="),
        ("secret", "$5$B/nhavvzk/HEpN9W$zFLBrTZk8.IXMd9i07pHNpJmhhIx6mAV4UybUNyPns5"),
        (
            "secret",
            "$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.",
        ),
        (
            "hunter2",
            "$6$rounds=1000$9zN9x0MRSHw2rL0G$oT2HQCDHU5CJq9h2bmg8AQF5wcVS8PvD3tBUTrSgOklxmK1fbnlBjaEiogPG1uIrymSqu15UmVwJFuVG46JFJ0",
        ),
    ];

    #[test]
    fn every_form_knows_its_password() {
        for (password, text) in STORED {
            let stored = Stored::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert!(stored.matches(password.as_bytes()), "{text}");
            for wrong in ["", &password[1..]] {
                assert!(!stored.matches(wrong.as_bytes()), "{wrong:?} for {text}");
            }
        }
    }

    #[test]
    fn what_is_broken_matches_nothing() {
        for text in [
            "$2y$05$",
            "$2y$99$abcdefghijklmnopqrstuv",
            "$apr1$",
            "$apr1$salt",
            "$1$$",
            "$5$",
            "$6$salt$",
            "{SHA}",
            "$6$rounds=abc$salt$x",
            "$y$j9T$x",
            "$y$$$",
            "$y$jzzzzz$LdJMENpBABJJ3hIHjB1Bi.$hLaZXcKh6m7JYeftf3YBX9tUkp4CF5Pqe06e1mb9bt8",
        ] {
            let stored = Stored::parse(text.as_bytes()).unwrap();
            assert!(!stored.matches(b""), "{text}");
            assert!(!stored.matches(b"secret"), "{text}");
        }
    }

    #[test]
    fn other_forms_are_unknown() {
        for text in [
            "",
            "secret",
            "rqXexS6ZhobK",
            "rqXexS6ZhobKAA",
            "rqXexS6Z:obKA",
            "$7$CU..../....salt$x",
            "$2x$05$x",
            "{SSHA}x",
        ] {
            assert_eq!(Stored::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn only_what_was_right_is_remembered() {
        let stored = |text: &'static str| Stored::parse(text.as_bytes()).unwrap();
        let verified = Verified::default();
        let one = stored("{SHA}one");
        assert!(!verified.has(b"u", b"p", one));
        verified.add(b"u", b"p", one);
        assert!(verified.has(b"u", b"p", one));
        assert!(!verified.has(b"u", b"p", stored("{SHA}two")));
        assert!(!verified.has(b"up", b"", one));
        assert!(!verified.has(b"", b"up", one));
        for number in 0..VERIFIED_MAX {
            verified.add(b"u", number.to_string().as_bytes(), one);
        }
        assert!(!verified.has(b"u", b"p", one), "it is bounded");
    }
}
