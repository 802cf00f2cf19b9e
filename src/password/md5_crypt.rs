//! Poul-Henning Kamp's MD5 crypt of FreeBSD, and Apache's variant, which differs in its name only.
//!
//! What it does makes little sense today: 1000 rounds that mix password, salt and what came before, in an order that
//! only history explains.

use md5::{Digest as _, Md5};

use super::DIGITS;

const SALT_BYTES_MAX: usize = 8;
const ROUNDS: usize = 1000;

/// The whole stored text for `password`, with the salt of `stored`, which begins with `name`.
pub(super) fn hash(name: &str, password: &[u8], stored: &str) -> String {
    let salt = stored.strip_prefix(name).unwrap_or_default();
    let salt = salt.split('$').next().unwrap_or_default().as_bytes();
    let salt = &salt[..salt.len().min(SALT_BYTES_MAX)];
    let digest = stretch(first(name, password, salt), password, salt);
    format!("{name}{}${}", String::from_utf8_lossy(salt), in_digits(&digest))
}

fn first(name: &str, password: &[u8], salt: &[u8]) -> [u8; 16] {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password);
    let inner: [u8; 16] = inner.finalize().into();
    let mut outer = Md5::new().chain_update(password).chain_update(name).chain_update(salt);
    for begin in (0..password.len()).step_by(inner.len()) {
        outer.update(&inner[..inner.len().min(password.len() - begin)]);
    }
    // For each bit of the length: a zero, or the password's first byte.
    let mut length = password.len();
    while length > 0 {
        outer.update(if length & 1 == 1 { &[0][..] } else { &password[..1] });
        length >>= 1;
    }
    outer.finalize().into()
}

fn stretch(first: [u8; 16], password: &[u8], salt: &[u8]) -> [u8; 16] {
    let mut digest = first;
    for round in 0..ROUNDS {
        let (before, after): (&[u8], &[u8]) =
            if round % 2 == 1 { (password, &digest) } else { (&digest, password) };
        let mut hasher = Md5::new().chain_update(before);
        if round % 3 != 0 {
            hasher.update(salt);
        }
        if round % 7 != 0 {
            hasher.update(password);
        }
        digest = hasher.chain_update(after).finalize().into();
    }
    digest
}

/// 128 bits as 22 digits, the bytes in an order of their own.
fn in_digits(digest: &[u8; 16]) -> String {
    const TRIPLES: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut text = String::with_capacity(22);
    let mut push = |mut number: usize, digits: u32| {
        for _ in 0..digits {
            text.push(char::from(DIGITS[number % 64]));
            number /= 64;
        }
    };
    for [high, middle, low] in TRIPLES {
        let byte = |at: usize| usize::from(digest[at]);
        push(byte(high) << 16 | byte(middle) << 8 | byte(low), 4);
    }
    push(usize::from(digest[11]), 2);
    text
}
