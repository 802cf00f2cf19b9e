//! The crypt(3) of Unix Version 7: 25 times DES (FIPS 46-3) of nothing, the password as key, and the salt swapping bits
//! within each round, so that no hardware for DES could do it.
//!
//! Eight letters of a password count, and seven bits of each. Files that are older than their server have it.

use super::DIGITS;

const ROUNDS: usize = 16;
const TIMES: usize = 25;

/// The stored text for `password`, with the salt of `stored`: two digits, and eleven of the result.
pub(super) fn hash(password: &[u8], stored: &str) -> String {
    let salt: Vec<u8> = stored.bytes().take(2).collect();
    let expansion = salted_expansion(&salt);
    let keys = round_keys(key_of(password));
    let block = (0..TIMES).fold(0, |block, _| encrypt(block, &keys, &expansion));
    let mut text = String::from_utf8_lossy(&salt).into_owned();
    for digit in 0..11 {
        // Six bits from the top, and two zeros behind the last.
        let bits = (u128::from(block) << 2) >> (60 - 6 * digit);
        text.push(char::from(DIGITS[usize::try_from(bits & 63).unwrap_or(0)]));
    }
    text
}

/// Whether a text looks like such a hash.
pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 13 && text.bytes().all(|byte| DIGITS.contains(&byte))
}

/// Eight letters of seven bits, each with room for a parity that nobody looks at.
fn key_of(password: &[u8]) -> u64 {
    let letters = password.iter().copied().chain(std::iter::repeat(0)).take(8);
    letters.fold(0, |key, letter| key << 8 | u64::from(letter << 1))
}

/// E with entries of its halves swapped, one pair for each bit of the salt.
fn salted_expansion(salt: &[u8]) -> [u8; 48] {
    let mut expansion = EXPANSION;
    for (number, digit) in salt.iter().enumerate() {
        let value = DIGITS.iter().position(|known| known == digit).unwrap_or(0);
        for bit in (0..6).filter(|bit| value >> bit & 1 == 1) {
            expansion.swap(6 * number + bit, 6 * number + bit + 24);
        }
    }
    expansion
}

fn round_keys(key: u64) -> [u64; ROUNDS] {
    const SHIFTS: [u32; ROUNDS] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];
    const HALF: u64 = (1 << 28) - 1;
    let chosen = permute(key, 64, &KEY_CHOICE);
    let (mut left, mut right) = (chosen >> 28, chosen & HALF);
    SHIFTS.map(|shift| {
        let rotate = |half: u64| (half << shift | half >> (28 - shift)) & HALF;
        (left, right) = (rotate(left), rotate(right));
        permute(left << 28 | right, 56, &ROUND_KEY_CHOICE)
    })
}

fn encrypt(block: u64, keys: &[u64; ROUNDS], expansion: &[u8; 48]) -> u64 {
    let mixed = permute(block, 64, &FIRST);
    let (mut left, mut right) = (mixed >> 32, mixed & 0xffff_ffff);
    for key in keys {
        let substituted = substitute(permute(right, 32, expansion) ^ key);
        (left, right) = (right, left ^ permute(substituted, 32, &SCATTER));
    }
    permute(right << 32 | left, 64, &LAST)
}

/// The S-boxes: six bits in, the outer two choosing a row, four bits out.
fn substitute(bits: u64) -> u64 {
    BOXES.iter().enumerate().fold(0, |out, (number, table)| {
        let six = usize::try_from(bits >> (42 - 6 * number) & 63).unwrap_or(0);
        let (row, column) = (six >> 4 & 2 | six & 1, six >> 1 & 15);
        out << 4 | u64::from(table[16 * row + column])
    })
}

/// Bits of a number of so many bits, picked one by one. The first is the highest.
fn permute(bits: u64, width: u32, picks: &[u8]) -> u64 {
    picks.iter().fold(0, |out, pick| out << 1 | bits >> (width - u32::from(*pick)) & 1)
}

#[rustfmt::skip]
const FIRST: [u8; 64] = [
    58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4,
    62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32, 24, 16, 8,
    57, 49, 41, 33, 25, 17,  9, 1, 59, 51, 43, 35, 27, 19, 11, 3,
    61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47, 39, 31, 23, 15, 7,
];
#[rustfmt::skip]
const LAST: [u8; 64] = [
    40, 8, 48, 16, 56, 24, 64, 32, 39, 7, 47, 15, 55, 23, 63, 31,
    38, 6, 46, 14, 54, 22, 62, 30, 37, 5, 45, 13, 53, 21, 61, 29,
    36, 4, 44, 12, 52, 20, 60, 28, 35, 3, 43, 11, 51, 19, 59, 27,
    34, 2, 42, 10, 50, 18, 58, 26, 33, 1, 41,  9, 49, 17, 57, 25,
];
#[rustfmt::skip]
const EXPANSION: [u8; 48] = [
    32,  1,  2,  3,  4,  5,  4,  5,  6,  7,  8,  9,
     8,  9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17,
    16, 17, 18, 19, 20, 21, 20, 21, 22, 23, 24, 25,
    24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32,  1,
];
#[rustfmt::skip]
const SCATTER: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17,  1, 15, 23, 26,  5, 18, 31, 10,
     2, 8, 24, 14, 32, 27,  3,  9, 19, 13, 30,  6, 22, 11,  4, 25,
];
#[rustfmt::skip]
const KEY_CHOICE: [u8; 56] = [
    57, 49, 41, 33, 25, 17,  9,  1, 58, 50, 42, 34, 26, 18,
    10,  2, 59, 51, 43, 35, 27, 19, 11,  3, 60, 52, 44, 36,
    63, 55, 47, 39, 31, 23, 15,  7, 62, 54, 46, 38, 30, 22,
    14,  6, 61, 53, 45, 37, 29, 21, 13,  5, 28, 20, 12,  4,
];
#[rustfmt::skip]
const ROUND_KEY_CHOICE: [u8; 48] = [
    14, 17, 11, 24,  1,  5,  3, 28, 15,  6, 21, 10,
    23, 19, 12,  4, 26,  8, 16,  7, 27, 20, 13,  2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48,
    44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];
#[rustfmt::skip]
const BOXES: [[u8; 64]; 8] = [
    [
        14,  4, 13,  1,  2, 15, 11,  8,  3, 10,  6, 12,  5,  9,  0,  7,
         0, 15,  7,  4, 14,  2, 13,  1, 10,  6, 12, 11,  9,  5,  3,  8,
         4,  1, 14,  8, 13,  6,  2, 11, 15, 12,  9,  7,  3, 10,  5,  0,
        15, 12,  8,  2,  4,  9,  1,  7,  5, 11,  3, 14, 10,  0,  6, 13,
    ],
    [
        15,  1,  8, 14,  6, 11,  3,  4,  9,  7,  2, 13, 12,  0,  5, 10,
         3, 13,  4,  7, 15,  2,  8, 14, 12,  0,  1, 10,  6,  9, 11,  5,
         0, 14,  7, 11, 10,  4, 13,  1,  5,  8, 12,  6,  9,  3,  2, 15,
        13,  8, 10,  1,  3, 15,  4,  2, 11,  6,  7, 12,  0,  5, 14,  9,
    ],
    [
        10,  0,  9, 14,  6,  3, 15,  5,  1, 13, 12,  7, 11,  4,  2,  8,
        13,  7,  0,  9,  3,  4,  6, 10,  2,  8,  5, 14, 12, 11, 15,  1,
        13,  6,  4,  9,  8, 15,  3,  0, 11,  1,  2, 12,  5, 10, 14,  7,
         1, 10, 13,  0,  6,  9,  8,  7,  4, 15, 14,  3, 11,  5,  2, 12,
    ],
    [
         7, 13, 14,  3,  0,  6,  9, 10,  1,  2,  8,  5, 11, 12,  4, 15,
        13,  8, 11,  5,  6, 15,  0,  3,  4,  7,  2, 12,  1, 10, 14,  9,
        10,  6,  9,  0, 12, 11,  7, 13, 15,  1,  3, 14,  5,  2,  8,  4,
         3, 15,  0,  6, 10,  1, 13,  8,  9,  4,  5, 11, 12,  7,  2, 14,
    ],
    [
         2, 12,  4,  1,  7, 10, 11,  6,  8,  5,  3, 15, 13,  0, 14,  9,
        14, 11,  2, 12,  4,  7, 13,  1,  5,  0, 15, 10,  3,  9,  8,  6,
         4,  2,  1, 11, 10, 13,  7,  8, 15,  9, 12,  5,  6,  3,  0, 14,
        11,  8, 12,  7,  1, 14,  2, 13,  6, 15,  0,  9, 10,  4,  5,  3,
    ],
    [
        12,  1, 10, 15,  9,  2,  6,  8,  0, 13,  3,  4, 14,  7,  5, 11,
        10, 15,  4,  2,  7, 12,  9,  5,  6,  1, 13, 14,  0, 11,  3,  8,
         9, 14, 15,  5,  2,  8, 12,  3,  7,  0,  4, 10,  1, 13, 11,  6,
         4,  3,  2, 12,  9,  5, 15, 10, 11, 14,  1,  7,  6,  0,  8, 13,
    ],
    [
         4, 11,  2, 14, 15,  0,  8, 13,  3, 12,  9,  7,  5, 10,  6,  1,
        13,  0, 11,  7,  4,  9,  1, 10, 14,  3,  5, 12,  2, 15,  8,  6,
         1,  4, 11, 13, 12,  3,  7, 14, 10, 15,  6,  8,  0,  5,  9,  2,
         6, 11, 13,  8,  1,  4, 10,  7,  9,  5,  0, 15, 14,  2,  3, 12,
    ],
    [
        13,  2,  8,  4,  6, 15, 11,  1, 10,  9,  3, 14,  5,  0, 12,  7,
         1, 15, 13,  8, 10,  3,  7,  4, 12,  5,  6, 11,  0, 14,  9,  2,
         7, 11,  4,  1,  9, 12, 14,  2,  0,  6, 10, 13, 15,  3,  5,  8,
         2,  1, 14,  7,  4, 10,  8, 13, 15, 12,  9,  0,  3,  5,  6, 11,
    ],
];
