//! A sealed file: a header in plain text, and a stream in chunks that are sealed one by one.
//! Invariants: what is read was written by [`SealingWriter`] in one go, with a listed secret. A chunk that was changed,
//! moved, removed or added is an error, and so is an end that came too early: each chunk has a key of its own, of the
//! header and its number, and is sealed with the mark of the last one or without.

use std::io::{self, BufRead as _, BufReader, Read, Write};

use zeroize::Zeroizing;

use crate::clock::UnixTime;
use crate::random;
use crate::session::seal::{KeyId, Root, Roots, TAG};

/// The text before the sealed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamHeader {
    /// When the stream was written.
    pub(super) written: UnixTime,
    salt: [u8; 32],
    pub(super) key_id: KeyId,
}

/// Why a file has no stream that can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it ends in its header")]
    CutOff,
    #[error("it is another kind of file")]
    OtherFile,
    #[error("it has the format {0}, this version reads the format {FORMAT}")]
    Format(u8),
}

impl StreamHeader {
    /// A header for a stream that is written now.
    pub(super) fn new(written: UnixTime, roots: &Roots) -> Self {
        Self { written, salt: random::bytes(), key_id: roots.newest().id() }
    }

    /// Reads a header.
    pub(super) fn read(input: &mut impl Read) -> Result<Self, StreamError> {
        let mut bytes = Vec::with_capacity(HEADER);
        input.take(HEADER as u64).read_to_end(&mut bytes)?;
        let mut rest = bytes.as_slice();
        let Some(magic) = rest.split_off(..MAGIC.len()) else {
            let begins = MAGIC.starts_with(&bytes);
            return Err(if begins { StreamError::CutOff } else { StreamError::OtherFile });
        };
        if magic != MAGIC {
            return Err(StreamError::OtherFile);
        }
        let format = *rest.split_off_first().ok_or(StreamError::CutOff)?;
        if format != FORMAT {
            return Err(StreamError::Format(format));
        }
        let written = i64::from_be_bytes(take(&mut rest)?);
        Ok(Self { written: UnixTime(written), salt: take(&mut rest)?, key_id: take(&mut rest)? })
    }

    /// The root that sealed the stream, if it is one of these.
    pub(super) fn root<'r>(&self, roots: &'r Roots) -> Option<&'r Root> {
        roots.by_id(self.key_id)
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { written: UnixTime(written), salt, key_id } = self;
        [MAGIC, &[FORMAT], &written.to_be_bytes(), salt, key_id].concat()
    }

    /// What the key of a chunk is derived from.
    fn random(&self, number: u64) -> [u8; 40] {
        let mut random = [0; 40];
        let (salt, last) = random.split_at_mut(32);
        salt.copy_from_slice(&self.salt);
        last.copy_from_slice(&number.to_be_bytes());
        random
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], StreamError> {
    let taken = rest.split_off(..N).ok_or(StreamError::CutOff)?;
    taken.try_into().map_err(|_| StreamError::CutOff)
}

/// Whether a chunk is the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Inside,
    Last,
}

/// What is authenticated with a chunk.
fn aad(header: &[u8], number: u64, place: Place) -> Vec<u8> {
    [header, &number.to_be_bytes(), &[u8::from(place == Place::Last)]].concat()
}

/// Seals what is written to it. Without [`finish`](Self::finish) the stream has no end.
pub(super) struct SealingWriter<W> {
    out: W,
    root: Root,
    header: StreamHeader,
    number: u64,
    chunk: Zeroizing<Vec<u8>>,
}

impl<W: Write> SealingWriter<W> {
    /// Writes the header.
    pub(super) fn new(mut out: W, header: StreamHeader, roots: &Roots) -> io::Result<Self> {
        out.write_all(&header.bytes())?;
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK + TAG));
        Ok(Self { out, root: roots.newest().clone(), header, number: 0, chunk })
    }

    /// Writes the last chunk.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(Place::Last)?;
        Ok(self.out)
    }

    fn seal(&mut self, place: Place) -> io::Result<()> {
        let aad = aad(&self.header.bytes(), self.number, place);
        let random = self.header.random(self.number);
        self.root.seal_in_place(PURPOSE, &random, &aad, &mut self.chunk);
        self.out.write_all(&self.chunk)?;
        self.number += 1;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only now it is known that the chunk is not the last one.
        if self.chunk.len() == CHUNK && !bytes.is_empty() {
            self.seal(Place::Inside)?;
        }
        let (now, _) = bytes.split_at(bytes.len().min(CHUNK - self.chunk.len()));
        self.chunk.extend_from_slice(now);
        Ok(now.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads what a [`SealingWriter`] wrote after the header. A chunk that is not as it was written is
/// [`io::ErrorKind::InvalidData`].
pub(super) struct OpeningReader<'r, R> {
    input: BufReader<R>,
    root: &'r Root,
    header: StreamHeader,
    number: u64,
    chunk: Zeroizing<Vec<u8>>,
    /// How much of the chunk has been read.
    read: usize,
    place: Place,
}

impl<'r, R: Read> OpeningReader<'r, R> {
    /// Reads the stream after this header.
    pub(super) fn new(input: R, header: StreamHeader, root: &'r Root) -> Self {
        let (input, chunk) = (BufReader::new(input), Zeroizing::new(Vec::new()));
        Self { input, root, header, number: 0, chunk, read: 0, place: Place::Inside }
    }

    /// Whether everything has been read, to the last chunk.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        while self.read == self.chunk.len() {
            if self.place == Place::Last {
                return Ok(true);
            }
            self.open()?;
        }
        Ok(false)
    }

    fn open(&mut self) -> io::Result<()> {
        self.chunk.clear();
        self.read = 0;
        self.chunk.reserve_exact(CHUNK + TAG);
        (&mut self.input).take((CHUNK + TAG) as u64).read_to_end(&mut self.chunk)?;
        if self.input.fill_buf()?.is_empty() {
            self.place = Place::Last;
        }
        let aad = aad(&self.header.bytes(), self.number, self.place);
        let random = self.header.random(self.number);
        let opened = self.root.open_in_place(PURPOSE, &random, &aad, &mut self.chunk);
        if let Err(error) = opened {
            // SECURITY: nothing of a chunk that was changed is read.
            self.chunk.clear();
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        self.number += 1;
        Ok(())
    }
}

impl<R: Read> Read for OpeningReader<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if bytes.is_empty() || self.is_at_end()? {
            return Ok(0);
        }
        let read = self.chunk.get(self.read..).unwrap_or_default().read(bytes)?;
        self.read += read;
        Ok(read)
    }
}

const MAGIC: &[u8] = b"portcullis sessions\n";
const FORMAT: u8 = 1;
/// Bytes of the header.
const HEADER: usize = MAGIC.len() + 1 + 8 + 32 + 8;
/// Bytes of a chunk before it is sealed; fewer in the last one.
const CHUNK: usize = 64 * 1024 - TAG;
const PURPOSE: &str = "session snapshot";
#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn roots(secrets: &[&str]) -> Roots {
        let secrets: Vec<_> = secrets.iter().map(|text| Secret::new(*text)).collect();
        Roots::new(&secrets, &Root::generate())
    }

    fn sealed(plain: &[u8], roots: &Roots) -> Vec<u8> {
        let header = StreamHeader::new(UnixTime(1_800_000_000), roots);
        let mut writer = SealingWriter::new(Vec::new(), header, roots).unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    /// What is read; `None` after an error.
    fn opened(file: &[u8], roots: &Roots) -> Option<Vec<u8>> {
        let mut input = file;
        let header = StreamHeader::read(&mut input).ok()?;
        let mut reader = OpeningReader::new(input, header, header.root(roots)?);
        let mut plain = Vec::new();
        reader.read_to_end(&mut plain).ok()?;
        assert!(reader.is_at_end().unwrap());
        Some(plain)
    }

    #[test]
    fn stream_of_any_length_is_read_as_it_was_written() {
        let roots = roots(&["a"]);
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
            let plain: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let file = sealed(&plain, &roots);
            assert_eq!(opened(&file, &roots).as_deref(), Some(plain.as_slice()), "{length}");
            let chunks = length.div_ceil(CHUNK).max(1);
            assert_eq!(file.len(), HEADER + length + chunks * TAG);
            assert!(length < 8 || !file.windows(8).any(|part| plain.starts_with(part)));
        }
    }

    #[test]
    fn stream_that_was_cut_extended_or_changed_is_not_read() {
        let roots = roots(&["a"]);
        let file = sealed(&vec![7; 2 * CHUNK + 100], &roots);
        let at_chunks = [HEADER, HEADER + CHUNK + TAG, HEADER + 2 * (CHUNK + TAG)];
        let cuts = (0..HEADER + 40).chain(at_chunks).chain((0..file.len()).step_by(1009));
        for cut in cuts.chain([file.len() - 1]) {
            assert_eq!(opened(&file[..cut], &roots), None, "cut at {cut}");
        }
        let flips = (0..HEADER + 40).chain(at_chunks).chain((0..file.len()).step_by(1009));
        for at in flips.chain([file.len() - 1]) {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert_eq!(opened(&changed, &roots), None, "changed at {at}");
        }
        assert_eq!(opened(&[&file[..], b"x"].concat(), &roots), None);
        let (head, rest) = file.split_at(HEADER);
        let (first, rest) = rest.split_at(CHUNK + TAG);
        let (second, last) = rest.split_at(CHUNK + TAG);
        assert!(opened(&[head, first, second, last].concat(), &roots).is_some());
        for moved in [
            [head, second, first, last].concat(),
            [head, first, last].concat(),
            [head, first, first, second, last].concat(),
            [head, first, second, second, last].concat(),
        ] {
            assert_eq!(opened(&moved, &roots), None);
        }
        let other = sealed(&vec![7; 2 * CHUNK + 100], &roots);
        assert_eq!(opened(&[head, &other[HEADER..]].concat(), &roots), None);
    }

    #[test]
    fn stream_is_read_with_any_listed_secret_and_no_other() {
        let file = sealed(b"text", &roots(&["old"]));
        assert!(opened(&file, &roots(&["new", "old"])).is_some());
        assert!(opened(&file, &roots(&["new"])).is_none());
    }

    #[test]
    fn header_says_why_a_file_is_not_read() {
        let file = sealed(b"text", &roots(&["a"]));
        let error = |mut file: &[u8]| StreamHeader::read(&mut file).unwrap_err().to_string();
        assert_eq!(error(b""), "it ends in its header");
        assert_eq!(error(&file[..HEADER - 1]), "it ends in its header");
        assert_eq!(error(b"PK"), "it is another kind of file");
        assert_eq!(error(&[b'x'; 200]), "it is another kind of file");
        let mut newer = file;
        newer[MAGIC.len()] = 2;
        assert_eq!(error(&newer), "it has the format 2, this version reads the format 1");
    }
}
