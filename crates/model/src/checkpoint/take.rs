//! Takes single tensors out of a checkpoint, each checked for shape, storage and finite values.
//!
//! It knows names and shapes only as they are given; `load.rs` knows which tensors a model has.

use super::names::{self, Form, Part, Place};
use super::tensor::{Storage, Tensor, file_error, show_name, show_shape};
use crate::weights::NamedMatrix;
use crate::{LoadReport, ModelError, Repacked, Unused};
use kernels::{Format, Matrix};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Matrices up to this size are read while loading, to look for values that are not finite.
const SCANNED_BYTES: usize = 16 << 20;

/// Tensors to take from, and where they lie.
#[derive(Clone, Copy)]
pub(super) struct Shelf<'a> {
    /// Whose names they have.
    pub(super) form: Form,
    /// The directory, or the first GGUF file.
    pub(super) path: &'a Path,
    /// The files that hold them.
    pub(super) files: &'a [PathBuf],
    pub(super) tensors: &'a [Tensor],
}

/// The tensors of a checkpoint, and which of them have been taken.
pub(super) struct Taker<'a> {
    shelf: Shelf<'a>,
    by_name: HashMap<&'a str, usize>,
    used: Vec<bool>,
    matrices: Vec<NamedMatrix>,
    repacked: Vec<Repacked>,
}

impl<'a> Taker<'a> {
    pub(super) fn new(shelf: Shelf<'a>) -> Taker<'a> {
        let by_name = shelf
            .tensors
            .iter()
            .enumerate()
            .map(|(index, tensor)| (tensor.name.as_str(), index));
        Taker {
            shelf,
            by_name: by_name.collect(),
            used: vec![false; shelf.tensors.len()],
            matrices: Vec::new(),
            repacked: Vec::new(),
        }
    }

    /// Whether the checkpoint has that part.
    pub(super) fn has(&self, part: Part, place: Place) -> bool {
        self.find(part, place).is_some()
    }

    fn find(&self, part: Part, place: Place) -> Option<usize> {
        let names = names::candidates(self.shelf.form, part, place);
        names
            .iter()
            .find_map(|name| self.by_name.get(name.as_str()).copied())
    }

    /// The path of the file a tensor lies in.
    pub(super) fn path_of(&self, tensor: &Tensor) -> &'a Path {
        &self.shelf.files[tensor.file]
    }

    /// The tensor of a part, with exactly that shape (ones in front do not count).
    pub(super) fn tensor(
        &mut self,
        part: Part,
        place: Place,
        shape: &[usize],
    ) -> Result<&'a Tensor, ModelError> {
        let index = self
            .find(part, place)
            .ok_or_else(|| self.missing(part, place))?;
        let tensor = &self.shelf.tensors[index];
        let strip = |dims: &[usize]| -> Vec<usize> {
            dims.iter().copied().skip_while(|dim| *dim == 1).collect()
        };
        if strip(&tensor.shape) != strip(shape) {
            return Err(self.wrong(
                tensor,
                format!(
                    "expected shape {} from the configuration, got {}",
                    show_shape(shape),
                    show_shape(&tensor.shape)
                ),
            ));
        }
        self.used[index] = true;
        Ok(tensor)
    }

    fn missing(&self, part: Part, place: Place) -> ModelError {
        let names = names::candidates(self.shelf.form, part, place);
        let path = match self.shelf.files {
            [file] => file,
            _ => self.shelf.path,
        };
        let what = match names.as_slice() {
            [] => format!("the checkpoint has no tensor for {part:?}"),
            [name] => format!("tensor {name} is missing"),
            names => format!(
                "tensor {} is missing (also looked for: {})",
                names[0],
                names[1..].join(", ")
            ),
        };
        file_error(
            path,
            format!("{what}; the file is incomplete, or made for another program"),
        )
    }

    /// An error about one tensor.
    pub(super) fn wrong(&self, tensor: &Tensor, what: impl std::fmt::Display) -> ModelError {
        file_error(
            self.path_of(tensor),
            format!("tensor {}: {what}", show_name(&tensor.name)),
        )
    }

    /// A vector, as f32: a norm's weight.
    pub(super) fn vector(
        &mut self,
        part: Part,
        place: Place,
        len: usize,
    ) -> Result<Vec<f32>, ModelError> {
        let tensor = self.tensor(part, place, &[len])?;
        let values = values(tensor, self.path_of(tensor))?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(at) => Err(self.wrong(
                tensor,
                format!("value {at} is {}, expected a finite number", values[at]),
            )),
        }
    }

    /// A matrix, sharing the file's bytes.
    pub(super) fn matrix(
        &mut self,
        part: Part,
        place: Place,
        rows: usize,
        cols: usize,
    ) -> Result<Matrix, ModelError> {
        let tensor = self.tensor(part, place, &[rows, cols])?;
        self.wrap(tensor, rows, cols)
    }

    /// Matrices stored one after the other in one tensor, sharing the file's bytes.
    pub(super) fn stack(
        &mut self,
        part: Part,
        place: Place,
        count: usize,
        rows: usize,
        cols: usize,
    ) -> Result<Vec<Matrix>, ModelError> {
        let tensor = self.tensor(part, place, &[count, rows, cols])?;
        let all = self.wrap(tensor, count * rows, cols)?;
        Ok((0..count)
            .map(|index| all.slice_rows(index * rows..(index + 1) * rows))
            .collect())
    }

    /// The tensor as a matrix, looked through if it is small.
    pub(super) fn wrap(
        &mut self,
        tensor: &'a Tensor,
        rows: usize,
        cols: usize,
    ) -> Result<Matrix, ModelError> {
        let format = format_of(tensor, self.path_of(tensor))?;
        let matrix = Matrix::new(format, rows, cols, tensor.data.clone())
            .map_err(|source| self.wrong(tensor, source))?;
        let named = NamedMatrix {
            name: tensor.name.clone(),
            file: self.path_of(tensor).to_owned(),
            matrix: matrix.clone(),
        };
        if tensor.data.len() <= SCANNED_BYTES
            && let Some(what) = named.non_finite()
        {
            return Err(file_error(&named.file, what));
        }
        self.matrices.push(named);
        Ok(matrix)
    }

    /// Writes down that `bytes` of memory were spent on a copy.
    pub(super) fn repacked(&mut self, what: &str, why: &'static str, bytes: usize) {
        match self
            .repacked
            .iter_mut()
            .find(|known| known.what == what && known.why == why)
        {
            Some(known) => {
                known.count += 1;
                known.bytes += bytes as u64;
            }
            None => self.repacked.push(Repacked {
                what: what.to_owned(),
                why,
                count: 1,
                bytes: bytes as u64,
            }),
        }
    }

    /// The report, when everything is taken.
    ///
    /// Errors: a bias that was not taken (the result would be another model's).
    pub(super) fn finish(self) -> Result<(Vec<NamedMatrix>, LoadReport), ModelError> {
        let mut report = LoadReport {
            repacked: self.repacked,
            ..LoadReport::default()
        };
        for (tensor, used) in self.shelf.tensors.iter().zip(&self.used) {
            let bytes = tensor.data.len() as u64;
            if *used {
                report.mapped_bytes += bytes;
                continue;
            }
            let what = names::describe_unused(&tensor.name);
            if tensor.name.ends_with(".bias") && !names::is_harmless(&tensor.name) {
                let path = &self.shelf.files[tensor.file];
                let name = show_name(&tensor.name);
                return Err(file_error(
                    path,
                    format!("tensor {name}: biases are not supported"),
                ));
            }
            match report.unused.iter_mut().find(|known| known.what == what) {
                Some(known) => {
                    known.count += 1;
                    known.bytes += bytes;
                }
                None => report.unused.push(Unused {
                    what: what.to_owned(),
                    count: 1,
                    bytes,
                    example: tensor.name.clone(),
                }),
            }
        }
        Ok((self.matrices, report))
    }
}

/// The format of a tensor, if the kernels compute with it.
pub(super) fn format_of(tensor: &Tensor, path: &Path) -> Result<Format, ModelError> {
    match tensor.storage {
        Storage::Known(format) => Ok(format),
        Storage::Unsupported(name) => {
            let supported: Vec<_> = Format::ALL.iter().map(|format| format.name()).collect();
            Err(file_error(
                path,
                format!(
                    "tensor {} is stored as {name}, which is not supported yet; supported are {}: use such a file",
                    show_name(&tensor.name),
                    supported.join(", ")
                ),
            ))
        }
    }
}

/// All values of a small tensor.
pub(super) fn values(tensor: &Tensor, path: &Path) -> Result<Vec<f32>, ModelError> {
    let format = format_of(tensor, path)?;
    let cols = tensor.num_values() as usize;
    let matrix = Matrix::new(format, 1, cols, tensor.data.clone()).map_err(|source| {
        file_error(
            path,
            format!("tensor {}: {source}", show_name(&tensor.name)),
        )
    })?;
    Ok(matrix.to_f32())
}
