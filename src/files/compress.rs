//! # compress: gzip, brotli and zstd, whole or as a stream
//!
//! ```text
//! Recipe ──encoder──▶ Encoder ──write, write, finish──▶ bytes
//!                        ▲
//!      Compressed: a file, piece by piece, as a response's stream
//! ```
//!
//! - All of it computes long: it belongs into jobs.
//! - A stream holds one piece of input and one of output, however long the file is.

use std::fmt;
use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::Access;
use super::content::{self, Span};
use super::open::Opened;
use crate::http::coding::Coding;
use crate::response::Source;

/// A stream sends pieces of at least this size, but for the last one.
const PIECE_BYTES_MIN: usize = 16 * 1024;
/// How much of a file a stream reads at once.
const INPUT_BYTES_MAX: u64 = 64 * 1024;

/// How content is to be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// gzip
    Gzip {
        /// 1 to 9, or zlib's own choice.
        level: Option<u32>,
        /// The window is 2 to the power of this: 9 to 15.
        window_bits: u8,
    },
    /// brotli
    #[cfg(feature = "brotli")]
    Brotli {
        /// 0 to 11.
        quality: u8,
        /// The window is 2 to the power of this: 10 to 24.
        window_bits: u8,
        /// Input blocks are 2 to the power of this, 16 to 24, or the library's own choice.
        block_bits: Option<u8>,
    },
    /// zstd
    #[cfg(feature = "zstd")]
    Zstd {
        /// 1 to 19.
        level: u8,
    },
}

impl Recipe {
    /// What it makes.
    pub fn coding(&self) -> Coding {
        match self {
            Recipe::Gzip { .. } => Coding::Gzip,
            #[cfg(feature = "brotli")]
            Recipe::Brotli { .. } => Coding::Brotli,
            #[cfg(feature = "zstd")]
            Recipe::Zstd { .. } => Coding::Zstd,
        }
    }

    fn encoder(&self) -> io::Result<Box<dyn Encode>> {
        Ok(match *self {
            Recipe::Gzip { level, window_bits } => Box::new(Gzip::new(level, window_bits)),
            #[cfg(feature = "brotli")]
            Recipe::Brotli { quality, window_bits, block_bits } => {
                Box::new(brotli_encoder(quality, window_bits, block_bits))
            }
            #[cfg(feature = "zstd")]
            Recipe::Zstd { level } => Box::new(zstd_encoder(level)?),
        })
    }

    /// Codes all of `bytes`.
    ///
    /// # Errors
    /// The library's: out of memory, nearly always.
    pub fn apply(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = self.encoder()?;
        encoder.write_all(bytes)?;
        encoder.finish()
    }
}

/// A compressor: bytes are written to it, and what they become is taken from it.
trait Encode: Write + Send + Sync {
    /// What has come out so far, to be taken.
    fn output(&mut self) -> &mut Vec<u8>;
    /// The end: what is left comes out.
    fn finish(self: Box<Self>) -> io::Result<Vec<u8>>;
}

/// gzip around raw deflate: header and trailer are our own, byte for byte those of Apache.
struct Gzip {
    deflate: Compress,
    crc: Crc,
    out: Vec<u8>,
}

/// Deflate, no flags, no time, nothing special, Unix (RFC 1952 section 2.3).
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

impl Gzip {
    fn new(level: Option<u32>, window_bits: u8) -> Gzip {
        let level = level.map_or(Compression::default(), Compression::new);
        let deflate = Compress::new_with_window_bits(level, false, window_bits);
        Gzip { deflate, crc: Crc::new(), out: GZIP_HEADER.to_vec() }
    }

    fn deflate(&mut self, mut input: &[u8], flush: FlushCompress) -> io::Result<()> {
        loop {
            self.out.reserve(PIECE_BYTES_MIN);
            let before = self.deflate.total_in();
            let status = self.deflate.compress_vec(input, &mut self.out, flush);
            let status = status.map_err(io::Error::other)?;
            let taken = usize::try_from(self.deflate.total_in() - before).unwrap_or(usize::MAX);
            input = &input[taken..];
            let is_last = matches!(flush, FlushCompress::Finish);
            if (is_last && status == Status::StreamEnd) || (!is_last && input.is_empty()) {
                return Ok(());
            }
        }
    }
}

impl Write for Gzip {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.crc.update(bytes);
        self.deflate(bytes, FlushCompress::None)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Encode for Gzip {
    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn finish(mut self: Box<Self>) -> io::Result<Vec<u8>> {
        self.deflate(&[], FlushCompress::Finish)?;
        self.out.extend_from_slice(&self.crc.sum().to_le_bytes());
        self.out.extend_from_slice(&self.crc.amount().to_le_bytes());
        Ok(self.out)
    }
}

#[cfg(feature = "brotli")]
type Brotli = brotli::CompressorWriter<Vec<u8>>;

#[cfg(feature = "brotli")]
fn brotli_encoder(quality: u8, window_bits: u8, block_bits: Option<u8>) -> Brotli {
    const BUFFER_BYTES: usize = 16 * 1024;
    let params = brotli::enc::BrotliEncoderParams {
        quality: quality.into(),
        lgwin: window_bits.into(),
        lgblock: block_bits.unwrap_or(0).into(),
        ..Default::default()
    };
    Brotli::with_params(Vec::new(), BUFFER_BYTES, &params)
}

#[cfg(feature = "brotli")]
impl Encode for Brotli {
    fn output(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
        Ok(self.into_inner())
    }
}

#[cfg(feature = "zstd")]
type Zstd = zstd::stream::write::Encoder<'static, Vec<u8>>;

#[cfg(feature = "zstd")]
fn zstd_encoder(level: u8) -> io::Result<Zstd> {
    /// Browsers refuse windows beyond 8 MiB (RFC 9659).
    const WINDOW_BITS_MAX: u32 = 23;
    let mut encoder = Zstd::new(Vec::new(), level.into())?;
    encoder.window_log(WINDOW_BITS_MAX)?;
    Ok(encoder)
}

#[cfg(feature = "zstd")]
impl Encode for Zstd {
    fn output(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
        (*self).finish()
    }
}

/// A response's stream that compresses what it reads.
pub struct Compressed {
    file: Opened,
    /// What of the file has not been read yet.
    left: Span,
    /// `None` at the end.
    encoder: Option<Box<dyn Encode>>,
    meter: Meter,
}

/// How much went in and came out, and under which names that is to be noted.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// Names of notes.
    pub notes: FilterNotes,
    /// Bytes that went in.
    pub bytes_in: u64,
    /// Bytes that came out.
    pub bytes_out: u64,
}

/// `DeflateFilterNote` and its kind: under which names the log finds what compression has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterNotes {
    /// The note for the number of bytes that went in.
    pub input: Option<String>,
    /// The note for the number of bytes that came out.
    pub output: Option<String>,
    /// The note for what came out, in per cent of what went in.
    pub ratio: Option<String>,
}

impl Meter {
    /// What is to be noted.
    pub fn to_notes(&self) -> Vec<(String, String)> {
        let ratio = match self.bytes_in {
            0 => "-".to_string(),
            bytes => (self.bytes_out * 100 / bytes).to_string(),
        };
        let note = |name: &Option<String>, value: String| Some((name.clone()?, value));
        let FilterNotes { input, output, ratio: of_ratio } = &self.notes;
        [
            note(input, self.bytes_in.to_string()),
            note(output, self.bytes_out.to_string()),
            note(of_ratio, ratio),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Compressed {
    /// Makes ready for a stream in the coding of `recipe`: what is returned makes it, of part of a file, and cannot
    /// fail.
    ///
    /// # Errors
    /// As [`Recipe::apply`].
    pub fn prepare(
        recipe: &Recipe,
        notes: FilterNotes,
    ) -> io::Result<impl FnOnce(Opened, Span) -> Compressed + use<>> {
        let encoder = Some(recipe.encoder()?);
        let meter = Meter { notes, ..Meter::default() };
        Ok(move |file, left| Compressed { file, left, encoder, meter })
    }

    /// The next bytes of the file; none at the end.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let part = Span { length: self.left.length.min(INPUT_BYTES_MAX), ..self.left };
        let bytes = content::read(&self.file, part, Access::MayBlock)?;
        self.left = self.left.after(part.length);
        Ok(bytes)
    }
}

impl Source for Compressed {
    fn next(&mut self) -> io::Result<Vec<u8>> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(Vec::new()) };
        loop {
            let input = self.read()?;
            self.meter.bytes_in += input.len() as u64;
            if input.is_empty() {
                content::check_length(&self.file)?;
                let piece = encoder.finish()?;
                self.meter.bytes_out += piece.len() as u64;
                return Ok(piece);
            }
            encoder.write_all(&input)?;
            if encoder.output().len() >= PIECE_BYTES_MIN {
                let piece = std::mem::take(encoder.output());
                self.meter.bytes_out += piece.len() as u64;
                self.encoder = Some(encoder);
                return Ok(piece);
            }
        }
    }

    fn notes(&self) -> Vec<(String, String)> {
        self.meter.to_notes()
    }
}

impl fmt::Debug for Compressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressed").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;

    use herdgate_sys::file::fstat;

    use super::*;

    const RECIPES: &[Recipe] = &[
        Recipe::Gzip { level: None, window_bits: 15 },
        Recipe::Gzip { level: Some(1), window_bits: 9 },
        Recipe::Gzip { level: Some(9), window_bits: 15 },
        #[cfg(feature = "brotli")]
        Recipe::Brotli { quality: 5, window_bits: 18, block_bits: None },
        #[cfg(feature = "brotli")]
        Recipe::Brotli { quality: 0, window_bits: 10, block_bits: Some(16) },
        #[cfg(feature = "zstd")]
        Recipe::Zstd { level: 3 },
        #[cfg(feature = "zstd")]
        Recipe::Zstd { level: 19 },
    ];

    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match coding {
            Coding::Gzip => {
                flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
            }
            #[cfg(feature = "brotli")]
            Coding::Brotli => {
                brotli::Decompressor::new(bytes, 4096).read_to_end(&mut plain).unwrap();
            }
            #[cfg(feature = "zstd")]
            Coding::Zstd => plain = zstd::stream::decode_all(bytes).unwrap(),
            #[cfg(not(all(feature = "brotli", feature = "zstd")))]
            other => panic!("{other:?} is not built in"),
        }
        plain
    }

    /// Text that is neither trivial to compress nor noise.
    fn text(bytes: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut word = || {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            format!("{:x} ", state >> 20)
        };
        std::iter::repeat_with(&mut word).flat_map(String::into_bytes).take(bytes).collect()
    }

    #[test]
    fn whole_content_comes_back_the_same() {
        for recipe in RECIPES {
            for length in [0, 1, 100, 50_000] {
                let plain = text(length);
                let coded = recipe.apply(&plain).unwrap();
                assert_eq!(decoded(recipe.coding(), &coded), plain, "{recipe:?}");
            }
        }
    }

    #[test]
    fn a_stream_comes_back_the_same_in_bounded_pieces() {
        let plain = text(1_000_000);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&plain).unwrap();
        for recipe in RECIPES {
            let stat = fstat(file.as_fd()).unwrap();
            let file = Opened { fd: file.try_clone().unwrap().into(), stat };
            let span = Span { offset: 10, length: plain.len() as u64 - 10 };
            let notes = FilterNotes { input: Some("in".to_string()), ..FilterNotes::default() };
            let mut stream = Compressed::prepare(recipe, notes).unwrap()(file, span);
            let (mut coded, mut pieces) = (Vec::new(), 0);
            loop {
                let piece = stream.next().unwrap();
                if piece.is_empty() {
                    break;
                }
                pieces += 1;
                coded.extend(piece);
            }
            assert!(pieces > 1, "{recipe:?}");
            assert_eq!(decoded(recipe.coding(), &coded), plain[10..], "{recipe:?}");
            assert_eq!(stream.notes(), [("in".to_string(), span.length.to_string())]);
        }
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"short").unwrap();
        let stat = fstat(file.as_fd()).unwrap();
        let file = Opened { fd: file.into(), stat };
        let span = Span { offset: 0, length: 6 };
        let notes = FilterNotes::default();
        let mut stream = Compressed::prepare(&RECIPES[0], notes).unwrap()(file, span);
        assert_eq!(stream.next().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
