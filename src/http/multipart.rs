//! # multipart: several parts of a file in one answer
//!
//! ```text
//!   CRLF --BOUNDARY CRLF Content-type: … CRLF Content-range: bytes 0-9/40   CRLF CRLF   the bytes 0 to 9
//!   CRLF --BOUNDARY CRLF Content-type: … CRLF Content-range: bytes 30-39/40 CRLF CRLF   the bytes 30 to 39
//!   CRLF --BOUNDARY-- CRLF
//! ```
//!
//! - This is what stands between the parts; the parts themselves are nobody's business here.
//! - Byte for byte as Apache, the first empty line and the spelling of the names included: clients have seen it.
//! - A boundary belongs to one answer, and nobody knows it beforehand: no content can pretend to be a part.

use std::io::Write as _;

use crate::http::range::{ByteRange, push_content_range};

/// The frame around the parts of one answer.
#[derive(Clone, Copy, Debug)]
pub struct Multipart<'t> {
    boundary: u64,
    part_type: Option<&'t str>,
    whole_bytes: u64,
}

impl<'t> Multipart<'t> {
    /// A frame for parts of something that is `whole_bytes` long and of this type, if it has one. `boundary` should be
    /// at random.
    pub const fn new(boundary: u64, part_type: Option<&'t str>, whole_bytes: u64) -> Self {
        Self { boundary, part_type, whole_bytes }
    }

    /// The type of all of it.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={:016x}", self.boundary)
    }

    /// Appends what stands before a part.
    pub fn push_head(&self, out: &mut Vec<u8>, part: ByteRange) {
        self.push_boundary(out);
        if let Some(part_type) = self.part_type {
            write!(out, "\r\nContent-type: {part_type}").expect("a Vec takes every byte");
        }
        out.extend_from_slice(b"\r\nContent-range: ");
        push_content_range(out, part, self.whole_bytes);
        out.extend_from_slice(b"\r\n\r\n");
    }

    /// Appends what stands behind the last part.
    pub fn push_end(&self, out: &mut Vec<u8>) {
        self.push_boundary(out);
        out.extend_from_slice(b"--\r\n");
    }

    fn push_boundary(&self, out: &mut Vec<u8>) {
        write!(out, "\r\n--{:016x}", self.boundary).expect("a Vec takes every byte");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(part_type: Option<&str>) -> String {
        let frame = Multipart::new(0xab, part_type, 40);
        let mut out = Vec::new();
        for (part, bytes) in
            [(ByteRange { start: 30, end: 31 }, "xy"), (ByteRange { start: 0, end: 0 }, "z")]
        {
            frame.push_head(&mut out, part);
            out.extend_from_slice(bytes.as_bytes());
        }
        frame.push_end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn parts_are_framed_as_apache_frames_them() {
        assert_eq!(
            Multipart::new(0xab, None, 1).content_type(),
            "multipart/byteranges; boundary=00000000000000ab"
        );
        assert_eq!(
            framed(Some("text/plain")),
            "\r\n--00000000000000ab\r\nContent-type: text/plain\r\nContent-range: bytes 30-31/40\r\n\r\nxy\
             \r\n--00000000000000ab\r\nContent-type: text/plain\r\nContent-range: bytes 0-0/40\r\n\r\nz\
             \r\n--00000000000000ab--\r\n"
        );
    }

    #[test]
    fn what_has_no_type_has_none_in_its_parts() {
        let text = framed(None);
        assert!(!text.contains("Content-type"));
        assert!(
            text.starts_with("\r\n--00000000000000ab\r\nContent-range: bytes 30-31/40\r\n\r\nxy")
        );
    }
}
