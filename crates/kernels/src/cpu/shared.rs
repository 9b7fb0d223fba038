//! One buffer, written by many tasks at once, each its own part.

use std::cell::UnsafeCell;

/// A mutable slice that tasks of one region write side by side.
pub(crate) struct Shared<'a, T>(&'a [UnsafeCell<T>]);

// SAFETY: every access goes through `slice`, whose callers promise that no two of them hold overlapping parts.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub fn new(slice: &'a mut [T]) -> Shared<'a, T> {
        let (start, len) = (slice.as_mut_ptr().cast(), slice.len());
        // SAFETY: the same memory, borrowed mutably for 'a and reachable only through this; UnsafeCell<T> is laid out
        // as T.
        Shared(unsafe { std::slice::from_raw_parts(start, len) })
    }

    /// `len` values from `start`. Panics if they reach past the end.
    ///
    /// # Safety
    /// While the result lives, nobody else asks for any of these values.
    pub unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [T] {
        let cells = &self.0[start..start + len];
        // SAFETY: `cells` are in bounds (the line above), and nobody else uses them (the caller's promise).
        unsafe { std::slice::from_raw_parts_mut(cells.as_ptr().cast_mut().cast(), len) }
    }

    /// Copies `values` to `start..`. Panics if they reach past the end.
    ///
    /// # Safety
    /// Nobody else uses these values meanwhile.
    pub unsafe fn write(&self, start: usize, values: &[T])
    where
        T: Copy,
    {
        // SAFETY: the caller's promise.
        let to = unsafe { self.slice(start, values.len()) };
        // What products write is one or two registers: moves rather than a call.
        match (to.as_chunks_mut::<16>(), values.as_chunks::<16>()) {
            (([to], []), ([values], [])) => *to = *values,
            (([first, second], []), ([a, b], [])) => (*first, *second) = (*a, *b),
            _ => to.copy_from_slice(values),
        }
    }
}
