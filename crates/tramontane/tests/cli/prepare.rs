//! `prepare` through the binary: later starts use the copy, whatever happens to it nothing changes in what is computed.

use crate::support::{failure, fixture, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with a model and a cache of its own, gone when dropped.
struct Home {
    folder: PathBuf,
    model: PathBuf,
}

impl Home {
    fn new(name: &str, model: &str) -> Home {
        let id = std::process::id();
        let folder = std::env::temp_dir().join(format!("tramontane-prepare-{name}-{id}"));
        fs::create_dir_all(&folder).unwrap();
        let copy = folder.join(model);
        fs::copy(fixture(model), &copy).unwrap();
        Home {
            folder,
            model: copy,
        }
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tramontane"))
            .args(args)
            .env("XDG_CACHE_HOME", &self.folder)
            .output()
            .unwrap()
    }

    /// Stdout and stderr of a run with the model, which must succeed.
    fn ok(&self, command: &str, more: &[&str]) -> (String, String) {
        let model = self.model.display().to_string();
        let output = self.run(&[&[command, "-m", &model], more].concat());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(0), "{command}: {err}");
        (out, err)
    }

    /// Writes the copy; where it is.
    fn prepare(&self) -> PathBuf {
        PathBuf::from(self.ok("prepare", &["-q"]).0.trim_end())
    }

    /// What `score` computes, and what is said at the start.
    fn score(&self) -> (String, String) {
        let input = root().join("fixtures/goldens/mistral4-q4_k_m.jsonl");
        self.ok(
            "score",
            &["--top", "4", "--input", &input.display().to_string()],
        )
    }

    /// The names of all copies, hidden files included.
    fn copies(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.join("tramontane/prepared")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Changes a byte `from_end` bytes before the end, or in the middle.
fn spoil(path: &Path, from_end: Option<usize>) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - from_end.unwrap_or(bytes.len() / 2);
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_later_start_maps_the_copy_and_computes_the_same() {
    let home = Home::new("same", "mistral4-q4_k_m.gguf");
    let (before, said) = home.score();
    assert!(!said.contains("prepared"), "{said}");
    let copy = home.prepare();
    assert_eq!(
        home.copies(),
        std::slice::from_ref(&copy),
        "nothing else is left"
    );
    let (after, said) = home.score();
    assert!(said.contains(&format!("at {}", copy.display())), "{said}");
    assert!(!said.contains("damaged"), "{said}");
    assert_eq!(before, after);
    let listed = String::from_utf8(home.run(&["prepare", "--list"]).stdout).unwrap();
    assert!(listed.contains(&copy.display().to_string()), "{listed}");
    let (removed, _) = home.ok("prepare", &["--remove"]);
    assert!(removed.contains("freed"), "{removed}");
    assert!(home.copies().is_empty());
    assert_eq!(home.score().0, before);
}

#[test]
fn a_damaged_copy_is_told_and_its_source_read() {
    let home = Home::new("spoilt", "mistral4-q4_k_m.gguf");
    let (right, _) = home.score();
    let copy = home.prepare();
    spoil(&copy, None);
    let (scores, said) = home.score();
    assert!(said.contains("is damaged"), "{said}");
    assert_eq!(scores, right);
    // Written anew, it is whole again.
    assert_eq!(home.prepare(), copy);
    assert!(!home.score().1.contains("damaged"));
}

#[test]
fn a_copy_that_is_cut_or_another_models_is_told_and_not_used() {
    let home = Home::new("cut", "mistral4-q4_k_m.gguf");
    let (right, _) = home.score();
    let copy = home.prepare();
    // The key of the source is at the very end.
    spoil(&copy, Some(3));
    let (scores, said) = home.score();
    assert!(said.contains("another checkpoint's weights"), "{said}");
    assert_eq!(scores, right);
    let bytes = fs::read(&copy).unwrap();
    fs::write(&copy, &bytes[..bytes.len() / 2]).unwrap();
    let (scores, said) = home.score();
    assert!(said.contains("the prepared copy is not used"), "{said}");
    assert_eq!(scores, right);
}

#[test]
fn a_source_that_changed_has_no_copy() {
    let home = Home::new("changed", "mistral4-q4_k_m.gguf");
    home.prepare();
    assert!(home.score().1.contains("prepared copy"));
    let bytes = fs::read(&home.model).unwrap();
    fs::write(&home.model, bytes).unwrap();
    assert!(!home.score().1.contains("prepared copy"));
    home.run(&["prepare", "--remove-all"]);
    assert!(home.copies().is_empty());
}

#[test]
fn what_cannot_be_prepared_is_said() {
    let message = failure(&["prepare"], 1);
    assert!(message.contains("part of the program"), "{message}");
    let f32_only = fixture("llama-tiny-f32.gguf");
    let message = failure(&["prepare", "-m", &f32_only], 1);
    assert!(message.contains("nothing to prepare"), "{message}");
    let message = failure(&["prepare", "-m", &f32_only, "--remove"], 1);
    assert!(message.contains("no prepared copy"), "{message}");
}
