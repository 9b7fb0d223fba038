//! Bytes and where they live: files mapped read-only, or buffers of our own. Sharing is by reference count.

use crate::KernelError;
use crate::prepared::Prepared;
use memmap2::{Mmap, MmapMut};
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// From this size on, memory of our own is asked for in huge pages.
const HUGE_PAGE: usize = 2 << 20;

/// A shared, immutable run of bytes: part of a mapped file or of a buffer. Cloning and slicing copy nothing.
#[derive(Clone, Debug)]
pub struct Bytes {
    owner: Arc<Owner>,
    range: Range<usize>,
    /// What these bytes are, in another order, and where in `owner` that begins.
    prepared: Option<(usize, Arc<Prepared>)>,
}

#[derive(Debug)]
enum Owner {
    Mapped(Mmap),
    Anonymous(Mmap),
    Heap(Vec<u8>),
    Program(&'static [u8]),
}

impl Bytes {
    /// Maps a whole file read-only. Nothing is read until it is touched.
    ///
    /// The file must not be changed or truncated while it is mapped; as with any mapped file, a read beyond a new end
    /// kills the process (SIGBUS).
    ///
    /// Errors: the file cannot be opened or mapped.
    pub fn map(path: &Path) -> Result<Bytes, KernelError> {
        let failed = |source| KernelError::Map {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() == 0 {
            return Ok(Bytes::from(Vec::new()));
        }
        // SAFETY: the mapping is private and read-only and owned by the Arc below, so every slice handed out lives no
        // longer than it. That nobody truncates the file meanwhile is the caller's promise, stated above.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        let len = map.len();
        Ok(Bytes::of(Owner::Mapped(map), len))
    }

    fn of(owner: Owner, len: usize) -> Bytes {
        Bytes {
            owner: Arc::new(owner),
            range: 0..len,
            prepared: None,
        }
    }

    /// The same bytes, and with them and their slices what products read instead.
    ///
    /// Errors: `prepared` is not of as many bytes.
    pub fn with_prepared(mut self, prepared: Prepared) -> Result<Bytes, KernelError> {
        prepared.check_source(self.len())?;
        self.prepared = Some((self.range.start, Arc::new(prepared)));
        Ok(self)
    }

    /// What was prepared for some bytes that these are a part of, and where in them this part begins.
    pub(crate) fn prepared(&self) -> Option<(usize, &Prepared)> {
        let (start, prepared) = self.prepared.as_ref()?;
        Some((self.range.start - start, prepared))
    }

    /// Bytes that are part of the program.
    pub fn from_static(bytes: &'static [u8]) -> Bytes {
        Bytes::of(Owner::Program(bytes), bytes.len())
    }

    /// `len` bytes that `fill` writes: in huge pages where the system grants them, if there are many. `fill` gets them
    /// zeroed.
    ///
    /// Errors: the memory cannot be had.
    pub(crate) fn filled(len: usize, fill: impl FnOnce(&mut [u8])) -> std::io::Result<Bytes> {
        if len < HUGE_PAGE {
            let mut bytes = vec![0; len];
            fill(&mut bytes);
            return Ok(Bytes::from(bytes));
        }
        let mut map = MmapMut::map_anon(len)?;
        // A wish: without it the same bytes take more time to reach.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        fill(&mut map);
        let map = map.make_read_only()?;
        Ok(Bytes::of(Owner::Anonymous(map), len))
    }

    /// Has all of these bytes fetched at once, if they are part of a mapped file: sooner than touching them page by page.
    pub(crate) fn fetch(&self) {
        #[cfg(unix)]
        if let Owner::Mapped(map) = &*self.owner {
            // A wish: whatever comes of it, reading works.
            let _ = map.advise_range(memmap2::Advice::WillNeed, self.range.start, self.len());
        }
    }

    /// Lets go of the memory of a mapped file's bytes, if these are some: a later read fetches them again.
    pub(crate) fn let_go(&self) {
        #[cfg(unix)]
        if let Owner::Mapped(map) = &*self.owner {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the mapping is of a file and never written, so pages that are dropped come back with the same
            // contents.
            // Errors leave the pages where they are.
            let _ = unsafe { map.unchecked_advise_range(advice, self.range.start, self.len()) };
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Whether they lie in a mapped file, the program's own among them (and so cost no memory of our own).
    pub fn is_mapped(&self) -> bool {
        matches!(*self.owner, Owner::Mapped(_) | Owner::Program(_))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        let all: &[u8] = match &*self.owner {
            Owner::Mapped(map) | Owner::Anonymous(map) => map,
            Owner::Heap(vec) => vec,
            Owner::Program(bytes) => bytes,
        };
        &all[self.range.clone()]
    }

    /// A part, counted from this slice's start. Panics if it reaches beyond the end, as slicing does.
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        assert!(
            range.start <= range.end && range.end <= self.len(),
            "bytes {range:?} of {}",
            self.len()
        );
        let start = self.range.start + range.start;
        Bytes {
            owner: Arc::clone(&self.owner),
            range: start..start + range.len(),
            prepared: self.prepared.clone(),
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        let len = bytes.len();
        Bytes::of(Owner::Heap(bytes), len)
    }
}
