//! Opens a GGUF by its path: alone, or the first part of a split one with all the others.

use super::Gguf;
use crate::ModelError;
use crate::checkpoint::tensor::{MOST_TENSORS, Tensor, file_error, show_name};
use kernels::Bytes;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Most parts of a split file.
const MOST_PARTS: u64 = 4096;

/// Maps a GGUF and the other parts of it, if it is split; metadata is the first part's.
///
/// Errors: those of [`Gguf::parse`], a part that is missing or belongs elsewhere, a tensor in two parts, a path to a
/// part that is not the first.
pub(crate) fn open_gguf(path: &Path) -> Result<(Gguf, Vec<PathBuf>, Vec<Tensor>), ModelError> {
    let first = Gguf::parse(Bytes::map(path)?, path)?;
    let mut files = vec![path.to_owned()];
    let mut tensors = first.tensors.clone();
    let count = split_number(&first, "split.count")?.unwrap_or(0);
    if count <= 1 {
        return Ok((first, files, tensors));
    }
    if count > MOST_PARTS {
        return Err(file_error(
            path,
            format!("split.count: {count} parts are absurd, expected at most {MOST_PARTS}"),
        ));
    }
    check_number(&first, 0, count)?;
    for number in 1..count {
        let part_path = part_path(path, number, count)?;
        if !part_path.is_file() {
            let name = part_path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            return Err(file_error(
                path,
                format!(
                    "part {} of {count} is missing: expected {name} beside it",
                    number + 1
                ),
            ));
        }
        let part = Gguf::parse(Bytes::map(&part_path)?, &part_path)?;
        check_number(&part, number, count)?;
        if tensors.len() + part.tensors.len() > MOST_TENSORS {
            return Err(file_error(
                path,
                format!("more than {MOST_TENSORS} tensors"),
            ));
        }
        tensors.extend(part.tensors.into_iter().map(|tensor| Tensor {
            file: files.len(),
            ..tensor
        }));
        files.push(part_path);
    }
    check_tensors(&first, &files, &tensors)?;
    Ok((first, files, tensors))
}

fn check_tensors(first: &Gguf, files: &[PathBuf], tensors: &[Tensor]) -> Result<(), ModelError> {
    if let Some(expected) = split_number(first, "split.tensors.count")?
        && expected != tensors.len() as u64
    {
        return Err(file_error(
            &first.path,
            format!(
                "split.tensors.count: expected {expected} tensors, the {} parts have {}",
                files.len(),
                tensors.len()
            ),
        ));
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for tensor in tensors {
        if let Some(at) = seen.insert(&tensor.name, tensor.file) {
            let other = files[at].display();
            return Err(file_error(
                &files[tensor.file],
                format!("tensor {} is also in {other}", show_name(&tensor.name)),
            ));
        }
    }
    Ok(())
}

fn split_number(part: &Gguf, key: &str) -> Result<Option<u64>, ModelError> {
    match part.value(key) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(file_error(
                &part.path,
                format!("{key}: expected a whole number, got {}", value.describe()),
            )),
        },
    }
}

fn check_number(part: &Gguf, number: u64, count: u64) -> Result<(), ModelError> {
    let got = split_number(part, "split.no")?.unwrap_or(0);
    let got_count = split_number(part, "split.count")?.unwrap_or(0);
    if got_count != count {
        return Err(file_error(
            &part.path,
            format!("split.count: expected {count} as in the first part, got {got_count}"),
        ));
    }
    if got == number {
        return Ok(());
    }
    if number == 0 {
        let first =
            part_path(&part.path, 0, count).unwrap_or_else(|_| PathBuf::from("the first part"));
        return Err(file_error(
            &part.path,
            format!(
                "this is part {} of {count}: open the first part, {}",
                got + 1,
                first.display()
            ),
        ));
    }
    Err(file_error(
        &part.path,
        format!("split.no: expected {number}, got {got}"),
    ))
}

/// The path of part `number`, from the path of any part: `NAME-00001-of-00003.gguf`.
fn part_path(path: &Path, number: u64, count: u64) -> Result<PathBuf, ModelError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name
        .strip_suffix(&format!("-of-{count:05}.gguf"))
        .and_then(|rest| {
            rest.len()
                .checked_sub(6)
                .and_then(|cut| rest.split_at_checked(cut))
        })
        .filter(|(_, digits)| {
            digits.starts_with('-') && digits[1..].bytes().all(|b| b.is_ascii_digit())
        });
    match stem {
        Some((stem, _)) => {
            Ok(path.with_file_name(format!("{stem}-{:05}-of-{count:05}.gguf", number + 1)))
        }
        None => Err(file_error(
            path,
            format!(
                "a part of a split file must be named NAME-00001-of-{count:05}.gguf, so that the others are found"
            ),
        )),
    }
}
