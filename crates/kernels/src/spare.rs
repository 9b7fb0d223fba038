//! Buffers that are used again, so that a step does not ask the system for fresh pages (which it clears) each time.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are kept at most; what comes back beyond them is given up.
const KEPT_BYTES: usize = 256 << 20;

/// A store of buffers. Clones share it.
pub(crate) struct Spare<T>(Arc<Mutex<Vec<Vec<T>>>>);

impl<T> Clone for Spare<T> {
    fn clone(&self) -> Spare<T> {
        Spare(Arc::clone(&self.0))
    }
}

impl<T> Default for Spare<T> {
    fn default() -> Spare<T> {
        Spare(Arc::default())
    }
}

impl<T: Copy> Spare<T> {
    /// `len` values that hold anything: `fill`, or what someone wrote before.
    pub fn take(&self, len: usize, fill: T) -> Lent<T> {
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough; none: a new one.
        let fitting = buffers.iter().enumerate();
        let fitting = fitting.filter(|(_, buffer)| buffer.capacity() >= len);
        let smallest = fitting.min_by_key(|(_, buffer)| buffer.capacity());
        let mut buffer = match smallest.map(|(i, _)| i) {
            Some(i) => buffers.swap_remove(i),
            None => Vec::new(),
        };
        drop(buffers);
        buffer.resize(len, fill);
        Lent {
            buffer,
            home: Some(self.clone()),
        }
    }

    fn put_back(&self, buffer: Vec<T>) {
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = buffers.iter().map(Vec::capacity).sum();
        if (kept + buffer.capacity()) * size_of::<T>() <= KEPT_BYTES {
            buffers.push(buffer);
        }
    }
}

/// A buffer in use. Dropped, it goes back to where it came from.
pub(crate) struct Lent<T: Copy> {
    buffer: Vec<T>,
    home: Option<Spare<T>>,
}

impl<T: Copy> Lent<T> {
    /// Changes the length; new values are `fill`.
    pub fn resize(&mut self, len: usize, fill: T) {
        self.buffer.resize(len, fill);
    }
}

impl<T: Copy> From<Vec<T>> for Lent<T> {
    fn from(buffer: Vec<T>) -> Lent<T> {
        Lent { buffer, home: None }
    }
}

impl<T: Copy> Deref for Lent<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.buffer
    }
}

impl<T: Copy> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.buffer.fmt(f)
    }
}

impl<T: Copy> Drop for Lent<T> {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.put_back(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_and_too_much_is_given_up() {
        let spare = Spare::default();
        let mut first = spare.take(100, 0u64);
        first[99] = 7;
        let at = first.as_ptr();
        drop(first);
        assert_eq!(spare.take(90, 0).as_ptr(), at, "used again");
        assert_eq!(
            *spare.take(101, 3).last().unwrap(),
            3,
            "too small: a new one"
        );
        let large = KEPT_BYTES / size_of::<u64>();
        drop(spare.take(large, 0));
        let kept: usize = spare.0.lock().unwrap().iter().map(Vec::capacity).sum();
        assert!(kept < large, "{kept}");
    }
}
