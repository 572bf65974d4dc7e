//! Gzip in fixed chunks, compressed in parallel.
//!
//! A single gzip member (RFC 1952) whose deflate stream (RFC 1951) is cut every [`CHUNK`] bytes of input: each chunk is
//! compressed on its own and ends on a byte boundary, so that the bytes depend on the input and the compressor's version
//! alone, not on how many threads there are or how writes were split.
//!
//! Layers that are stored otherwise, plain or as zstd, go through [`Compressor`] too.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use flate2::{Compress, Compression, FlushCompress, Status};

/// Bytes of input that are compressed together. Part of the layer format.
const CHUNK: usize = 512 * 1024;

/// Effort. Part of the layer format. For a Go program level 2 takes half of the time of level 6 and gives 6 % more bytes.
const LEVEL: u32 = 2;

/// Threads beyond this gain nothing: the hash of the input, which is one thread's work, is then what decides.
const MAX_THREADS: usize = 8;

/// Magic, deflate, no flags, no time, no extra flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Effort of zstd: its own default.
const ZSTD_LEVEL: i32 = 3;

/// Compresses what is written to it, in one of the ways that layers are stored.
pub(super) enum Compressor<W: Write> {
    None(W),
    Gzip(GzipWriter<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    pub(super) fn zstd(inner: W) -> io::Result<Self> {
        Ok(Compressor::Zstd(zstd::stream::write::Encoder::new(inner, ZSTD_LEVEL)?))
    }

    /// Ends the stream and returns the writer below.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Compressor::None(inner) => Ok(inner),
            Compressor::Gzip(gzip) => gzip.finish(),
            Compressor::Zstd(zstd) => zstd.finish(),
        }
    }

    pub(super) fn kind(&self) -> longshore_oci::media_type::Compression {
        use longshore_oci::media_type::Compression;
        match self {
            Compressor::None(_) => Compression::None,
            Compressor::Gzip(_) => Compression::Gzip,
            Compressor::Zstd(_) => Compression::Zstd,
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Compressor::None(inner) => inner.write(bytes),
            Compressor::Gzip(gzip) => gzip.write(bytes),
            Compressor::Zstd(zstd) => zstd.write(bytes),
        }
    }

    /// Does nothing: what is stored must not depend on who flushes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Job {
    input: Vec<u8>,
    last: bool,
}

struct Worker {
    jobs: SyncSender<Job>,
    results: Receiver<io::Result<Vec<u8>>>,
}

/// Compresses what is written to it. [`GzipWriter::finish`] must be called: dropping it loses the end of the stream.
pub struct GzipWriter<W: Write> {
    inner: W,
    buffer: Vec<u8>,
    checksum: crc32fast::Hasher,
    size: u64,
    workers: Vec<Worker>,
    threads: usize,
    submitted: usize,
    pending: VecDeque<usize>,
    started: bool,
}

impl<W: Write> std::fmt::Debug for GzipWriter<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GzipWriter").field("size", &self.size).finish_non_exhaustive()
    }
}

impl<W: Write> GzipWriter<W> {
    /// Compresses to `inner` with as many threads as the machine has processors, up to eight.
    pub fn new(inner: W) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        GzipWriter::with_threads(inner, processors.min(MAX_THREADS))
    }

    fn with_threads(inner: W, threads: usize) -> Self {
        GzipWriter {
            inner,
            buffer: Vec::with_capacity(CHUNK),
            checksum: crc32fast::Hasher::new(),
            size: 0,
            workers: Vec::new(),
            threads,
            submitted: 0,
            pending: VecDeque::new(),
            started: false,
        }
    }

    fn submit(&mut self, last: bool) -> io::Result<()> {
        if !self.started {
            self.inner.write_all(&HEADER)?;
            self.started = true;
        }
        let input = std::mem::replace(&mut self.buffer, Vec::with_capacity(if last { 0 } else { CHUNK }));
        // A stream of one chunk is not worth a thread.
        if last && self.submitted == 0 {
            let output = compress(&mut Compress::new(Compression::new(LEVEL), false), &Job { input, last })?;
            return self.inner.write_all(&output);
        }
        let number = self.submitted % self.threads;
        if number == self.workers.len() {
            self.workers.push(spawn()?);
        }
        // Two jobs for each thread at most: one being compressed, one waiting. Memory stays bounded.
        while self.pending.len() >= 2 * self.threads {
            self.collect()?;
        }
        self.workers[number].jobs.send(Job { input, last }).map_err(|_| worker_died())?;
        self.pending.push_back(number);
        self.submitted += 1;
        Ok(())
    }

    fn collect(&mut self) -> io::Result<()> {
        let Some(number) = self.pending.pop_front() else { return Ok(()) };
        let output = self.workers[number].results.recv().map_err(|_| worker_died())??;
        self.inner.write_all(&output)
    }

    /// Ends the stream and returns the writer below.
    pub fn finish(mut self) -> io::Result<W> {
        self.submit(true)?;
        while !self.pending.is_empty() {
            self.collect()?;
        }
        let checksum = self.checksum.clone().finalize();
        self.inner.write_all(&checksum.to_le_bytes())?;
        // RFC 1952: the size modulo 2^32.
        let size = (self.size & u64::from(u32::MAX)).to_le_bytes();
        self.inner.write_all(&size[..4])?;
        self.inner.flush()?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == CHUNK {
            self.submit(false)?;
        }
        let count = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        self.checksum.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    /// Does nothing: where chunks end must not depend on who flushes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn spawn() -> io::Result<Worker> {
    let (jobs, todo) = sync_channel::<Job>(2);
    let (done, results) = sync_channel(2);
    thread::Builder::new().name("gzip".to_owned()).spawn(move || {
        let mut state = Compress::new(Compression::new(LEVEL), false);
        for job in todo {
            state.reset();
            // The writer was dropped: nobody waits for the rest.
            if done.send(compress(&mut state, &job)).is_err() {
                return;
            }
        }
    })?;
    Ok(Worker { jobs, results })
}

fn compress(state: &mut Compress, job: &Job) -> io::Result<Vec<u8>> {
    let flush = if job.last { FlushCompress::Finish } else { FlushCompress::Sync };
    let mut output = Vec::with_capacity(job.input.len() / 2 + 1024);
    loop {
        let read = usize::try_from(state.total_in()).map_err(io::Error::other)?;
        let status = state.compress_vec(&job.input[read..], &mut output, flush).map_err(io::Error::other)?;
        let consumed = state.total_in() == job.input.len() as u64;
        let done =
            if job.last { status == Status::StreamEnd } else { consumed && output.len() < output.capacity() };
        if done {
            return Ok(output);
        }
        output.reserve(output.capacity().max(64 * 1024));
    }
}

fn worker_died() -> io::Error {
    io::Error::other("a compression thread ended before its work")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn gzip(input: &[u8], threads: usize, piece: usize) -> Vec<u8> {
        let mut writer = GzipWriter::with_threads(Vec::new(), threads);
        for part in input.chunks(piece) {
            writer.write_all(part).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn the_bytes_do_not_depend_on_threads_or_on_how_writes_are_split() {
        let mut random = 1_u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random.to_le_bytes()[3] & 0x3f
        };
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 17] {
            let input: Vec<u8> = (0..size).map(|_| next()).collect();
            let reference = gzip(&input, 1, 1 << 20);
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&reference[..]).read_to_end(&mut plain).unwrap();
            assert!(plain == input, "{size} bytes did not come back");
            for (threads, piece) in [(2, 4096), (3, CHUNK), (8, 1_000_003)] {
                assert!(
                    gzip(&input, threads, piece) == reference,
                    "{size} bytes, {threads} threads, pieces of {piece}"
                );
            }
        }
    }

    #[test]
    fn a_failing_writer_is_an_error_and_not_a_hang() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = GzipWriter::with_threads(Full, 2);
        let error =
            writer.write_all(&vec![0; 10 * CHUNK]).and_then(|()| writer.finish().map(|_| ())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
