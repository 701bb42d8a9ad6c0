//! Writes a file's rows as bytes: CSV or JSON lines, packed by gzip, and hashed before and after packing.
//!
//! The same rows always give the same bytes: the gzip header holds neither time nor operating system, and the packer's input is cut
//! only by the length of the rows.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use sm3::Sm3;

use super::model::Form;
use super::row::Row;

/// A file's bytes are stored in pieces of this size; the last one may be shorter.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Bytes that are collected before they are hashed and packed.
const BUFFER_BYTES: usize = 64 * 1024;
/// The value of the gzip header for an unknown operating system.
const UNKNOWN_SYSTEM: u8 = 255;
/// About the length of a row in CSV. Each row is written by a new CSV writer, and clearing a buffer of the usual size each time would
/// be slow.
const CSV_ROW_BYTES: usize = 512;

/// The length of some bytes, and their hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    pub bytes: u64,
    pub sha256: Vec<u8>,
    pub sm3: Vec<u8>,
}

/// Computes [`Digests`] piece by piece.
#[derive(Default)]
pub struct Hashing {
    bytes: u64,
    sha256: Sha256,
    sm3: Sm3,
}

impl Hashing {
    pub fn take(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.sha256.update(piece);
        self.sm3.update(piece);
    }

    pub fn finish(self) -> Digests {
        Digests { bytes: self.bytes, sha256: self.sha256.finalize().to_vec(), sm3: self.sm3.finalize().to_vec() }
    }
}

/// A file that is being written.
pub struct FileWriter {
    form: Form,
    buffer: Vec<u8>,
    content: Hashing,
    packer: GzEncoder<Vec<u8>>,
    packed: Hashing,
    waiting: Vec<u8>,
}

/// A file's digests, packed and unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDigests {
    pub packed: Digests,
    pub content: Digests,
}

impl FileWriter {
    /// An empty file with the heading of the rows, if the form has one.
    ///
    /// # Errors
    /// None in practice: it writes to memory.
    pub fn new<R: Row>(form: Form) -> anyhow::Result<FileWriter> {
        let packer =
            GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(Vec::new(), Compression::default());
        let mut writer = FileWriter {
            form,
            buffer: Vec::with_capacity(2 * BUFFER_BYTES),
            content: Hashing::default(),
            packer,
            packed: Hashing::default(),
            waiting: Vec::new(),
        };
        if form == Form::Csv {
            csv_lines(&mut writer.buffer).write_record(R::COLUMNS)?;
        }
        Ok(writer)
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If the row cannot be written in this form, which all of ours can.
    pub fn write<R: Row>(&mut self, row: &R) -> anyhow::Result<()> {
        match self.form {
            Form::Csv => csv_lines(&mut self.buffer).serialize(row)?,
            Form::JsonLines => {
                serde_json::to_writer(&mut self.buffer, row)?;
                self.buffer.push(b'\n');
            }
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.pack()?;
        }
        Ok(())
    }

    fn pack(&mut self) -> io::Result<()> {
        self.content.take(&self.buffer);
        self.packer.write_all(&self.buffer)?;
        self.buffer.clear();
        self.hand_over();
        Ok(())
    }

    fn hand_over(&mut self) {
        let packed = std::mem::take(self.packer.get_mut());
        self.packed.take(&packed);
        self.waiting.extend(packed);
    }

    /// The next full piece of the packed file, if there is one.
    pub fn next_chunk(&mut self) -> Option<Vec<u8>> {
        if self.waiting.len() < CHUNK_BYTES {
            return None;
        }
        let rest = self.waiting.split_off(CHUNK_BYTES);
        Some(std::mem::replace(&mut self.waiting, rest))
    }

    /// The last pieces, and the digests of the whole file.
    ///
    /// # Errors
    /// None in practice: it writes to memory.
    pub fn finish(mut self) -> anyhow::Result<(Vec<Vec<u8>>, FileDigests)> {
        self.pack()?;
        self.packer.try_finish()?;
        self.hand_over();
        let mut chunks = Vec::new();
        while let Some(chunk) = self.next_chunk() {
            chunks.push(chunk);
        }
        if !self.waiting.is_empty() {
            chunks.push(std::mem::take(&mut self.waiting));
        }
        Ok((chunks, FileDigests { packed: self.packed.finish(), content: self.content.finish() }))
    }
}

/// A writer whose lines end in a line feed. The heading is written separately, so that a file without rows has one too.
fn csv_lines(buffer: &mut Vec<u8>) -> csv::Writer<&mut Vec<u8>> {
    csv::WriterBuilder::new().has_headers(false).buffer_capacity(CSV_ROW_BYTES).from_writer(buffer)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use uuid::Uuid;

    use super::super::row::RepaymentPartRow;
    use super::*;
    use crate::base::Fen;
    use crate::base::id::{LineId, LoanId, RepaymentId};

    fn row(part: i64) -> RepaymentPartRow {
        let id = Uuid::from_u128(0x0197_f3c2_a4b0_7cc3_9b1c_2d3e_4f50_6172 ^ u128::from(part.unsigned_abs()).pow(3));
        RepaymentPartRow {
            repayment_id: RepaymentId::from_uuid(id),
            part,
            line_id: LineId::from_uuid(id),
            loan_id: LoanId::from_uuid(id),
            period: 1,
            principal_fen: Fen::new(part * 977),
            interest_fen: Fen::new(-5),
            fee_fen: Fen::ZERO,
            penalty_fen: Fen::ZERO,
        }
    }

    fn made(form: Form, rows: i64) -> (Vec<Vec<u8>>, FileDigests) {
        let mut writer = FileWriter::new::<RepaymentPartRow>(form).unwrap();
        let mut chunks = Vec::new();
        for part in 0..rows {
            writer.write(&row(part)).unwrap();
            chunks.extend(writer.next_chunk());
        }
        let (last, digests) = writer.finish().unwrap();
        chunks.extend(last);
        (chunks, digests)
    }

    fn unpacked(chunks: &[Vec<u8>]) -> String {
        let mut text = String::new();
        GzDecoder::new(chunks.concat().as_slice()).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_file_has_a_heading_even_without_rows() {
        let heading = "repayment_id,part,line_id,loan_id,period,principal_fen,interest_fen,fee_fen,penalty_fen\n";
        assert_eq!(unpacked(&made(Form::Csv, 0).0), heading);
        assert_eq!(unpacked(&made(Form::JsonLines, 0).0), "");
        let text = unpacked(&made(Form::Csv, 2).0);
        assert!(text.starts_with(heading) && text.ends_with(",1,977,-5,0,0\n"), "{text}");
        let text = unpacked(&made(Form::JsonLines, 1).0);
        assert!(text.starts_with("{\"repayment_id\":\"rep_0197") && text.ends_with(",\"penalty_fen\":0}\n"), "{text}");
    }

    #[test]
    fn the_same_rows_are_the_same_bytes_in_pieces_of_one_size() {
        for form in Form::ALL {
            let (chunks, digests) = made(form, 40_000);
            assert_eq!(made(form, 40_000), (chunks.clone(), digests.clone()));
            assert!(chunks.len() > 1 && chunks[..chunks.len() - 1].iter().all(|chunk| chunk.len() == CHUNK_BYTES));
            let mut packed = Hashing::default();
            chunks.iter().for_each(|chunk| packed.take(chunk));
            assert_eq!(packed.finish(), digests.packed);
            let mut content = Hashing::default();
            content.take(unpacked(&chunks).as_bytes());
            assert_eq!(content.finish(), digests.content);
            assert_eq!(&chunks[0][..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], "no time, no system");
        }
    }
}
