//! From image files to embedding rows: pixels, the vision tower, and a memory of what it saw.
//!
//! An image is known by the digest of its file. It goes through the tower once, and its rows serve every later turn and
//! request until newer images take their place. Must not know: messages, HTTP.

use anyhow::{Result, bail};
use chat::image::{self, ImageGrid, Pixels};
use chat::tekken::ImageConfig;
use chat::{ChatError, Prompt};
use engine::{EmbeddingSpan, Embeddings};
use model::{ImageInput, ModelError, Vision, VisionConfig};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of rows kept for later turns: ten of the largest images of Mistral Small 4.
const CACHE_BYTES: usize = 512 << 20;

/// Pixels that go through the tower in one call: one of the largest images, or many small ones.
const CALL_PIXELS: usize = 1540 * 1540;

/// The id that stands for an image's row in a prompt. Source: Tekken's special tokens; `image_token_index` in the
/// published configurations.
const IMAGE_TOKEN: u32 = 10;

/// The part of a model that sees.
pub struct Eyes {
    vision: Vision,
    /// Held while the tower runs: it uses every core, and an image that two requests bring at once is seen once.
    turn: Mutex<()>,
    cache: Mutex<Cache>,
}

/// Why an image cannot be seen.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// The request's fault.
    #[error(transparent)]
    Image(#[from] ChatError),
    /// The model's.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// An image file of a request.
struct File {
    bytes: Vec<u8>,
    digest: [u8; 32],
    place: String,
}

impl Eyes {
    /// Puts the tower to work.
    pub fn new(vision: Vision) -> Eyes {
        Eyes {
            vision,
            turn: Mutex::new(()),
            cache: Mutex::new(Cache::new(CACHE_BYTES)),
        }
    }

    /// What the tower is.
    pub fn config(&self) -> &VisionConfig {
        self.vision.config()
    }

    /// Checks that prompts are laid out for this tower.
    ///
    /// # Errors
    /// A tokenizer whose images have other sizes.
    pub fn check_layout(&self, tokenizer: Option<ImageConfig>) -> Result<()> {
        let own = self.image_config();
        match tokenizer {
            Some(config) if config != own => bail!(
                "the tokenizer's images and the vision tower's differ: {config:?}, but the tower has {own:?}\n\
                 Use the tekken.json that came with the model"
            ),
            _ => Ok(()),
        }
    }

    /// The rows of every image of `prompt`.
    ///
    /// # Errors
    /// An image whose pixels cannot be read, with its message and chunk; a tower whose result is not finite.
    pub fn see(&self, prompt: &Prompt) -> Result<Vec<EmbeddingSpan>, VisionError> {
        let files = prompt.images.iter().map(|slot| {
            let bytes = slot.file()?;
            Ok(File::new(bytes, slot.place()))
        });
        let files = files.collect::<Result<Vec<_>, ChatError>>()?;
        let seen = self.rows(&files)?;
        let slots = prompt.images.iter().zip(seen);
        Ok(slots
            .flat_map(|(slot, source)| spans(slot.start, slot.grid, source))
            .collect())
    }

    /// The rows of image files for a prompt of ids: they fill the runs of image tokens in order.
    ///
    /// # Errors
    /// An image whose pixels cannot be read; more or fewer image tokens than rows.
    pub fn fill(&self, ids: &[u32], images: Vec<Vec<u8>>) -> Result<Vec<EmbeddingSpan>> {
        let place = |(index, bytes)| File::new(bytes, format!("images[{index}]"));
        let files: Vec<File> = images.into_iter().enumerate().map(place).collect();
        let width = self.config().text_hidden_size;
        let mut runs = runs(ids);
        let mut spans = Vec::new();
        for (index, source) in self.rows(&files)?.into_iter().enumerate() {
            let mut first_row = 0;
            while first_row < source.rows.len() / width {
                let Some((first, count)) = runs.next() else {
                    bail!(
                        "images[{index}] has more rows than there are image tokens (id {IMAGE_TOKEN}) left for it"
                    );
                };
                if first_row + count > source.rows.len() / width {
                    bail!(
                        "a run of {count} image tokens at {first}, but images[{index}] has only {} rows left",
                        source.rows.len() / width - first_row
                    );
                }
                let source = Arc::clone(&source);
                spans.push(EmbeddingSpan {
                    first,
                    count,
                    first_row,
                    source,
                });
                first_row += count;
            }
        }
        match runs.next() {
            None => Ok(spans),
            Some((first, count)) => {
                bail!(
                    "{count} image tokens (id {IMAGE_TOKEN}) at {first} have no image; give it in \"images\""
                )
            }
        }
    }

    /// Each file's rows: remembered, or computed now.
    fn rows(&self, files: &[File]) -> Result<Vec<Arc<Embeddings>>, VisionError> {
        let mut seen = self.remembered(files);
        if files.iter().any(|file| !seen.contains_key(&file.digest)) {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever had the turn before may have brought the same images.
            seen = self.remembered(files);
            self.compute(files, &mut seen)?;
        }
        let mut cache = self.cache();
        let rows = files.iter().map(|file| {
            let rows = &seen[&file.digest];
            cache.put(rows);
            Arc::clone(rows)
        });
        Ok(rows.collect())
    }

    fn remembered(&self, files: &[File]) -> HashMap<[u8; 32], Arc<Embeddings>> {
        let cache = self.cache();
        let known = files.iter().filter_map(|file| cache.get(&file.digest));
        known.map(|rows| (rows.digest, rows)).collect()
    }

    /// Sends what is not in `seen` through the tower, several images a call if they are small.
    fn compute(
        &self,
        files: &[File],
        seen: &mut HashMap<[u8; 32], Arc<Embeddings>>,
    ) -> Result<(), VisionError> {
        let mut call: Vec<([u8; 32], Pixels)> = Vec::new();
        let mut num_pixels = 0;
        for file in files {
            if seen.contains_key(&file.digest)
                || call.iter().any(|(digest, _)| *digest == file.digest)
            {
                continue;
            }
            let pixels = image::pixels(&file.bytes, self.image_config(), &file.place)?;
            num_pixels += pixels.data.len() / 3;
            if num_pixels > CALL_PIXELS {
                self.encode(&mut call, seen)?;
                num_pixels = pixels.data.len() / 3;
            }
            call.push((file.digest, pixels));
        }
        Ok(self.encode(&mut call, seen)?)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn encode(
        &self,
        call: &mut Vec<([u8; 32], Pixels)>,
        seen: &mut HashMap<[u8; 32], Arc<Embeddings>>,
    ) -> Result<(), ModelError> {
        let inputs = call.iter().map(|(_, pixels)| ImageInput {
            pixels: &pixels.data,
            height: pixels.height as usize,
            width: pixels.width as usize,
        });
        let inputs: Vec<ImageInput> = inputs.collect();
        let all_rows = self.vision.encode(&inputs)?;
        for ((digest, _), rows) in call.drain(..).zip(all_rows) {
            seen.insert(digest, Arc::new(Embeddings { digest, rows }));
        }
        Ok(())
    }

    fn image_config(&self) -> ImageConfig {
        let config = self.config();
        ImageConfig {
            patch_size: config.patch_size as u32,
            max_image_size: config.max_image_size as u32,
            spatial_merge_size: (config.unit() / config.patch_size) as u32,
        }
    }
}

impl File {
    fn new(bytes: Vec<u8>, place: String) -> File {
        let digest = image::digest(&bytes);
        File {
            bytes,
            digest,
            place,
        }
    }
}

/// An image's rows of tokens, each followed by one token that is not replaced.
fn spans(
    start: usize,
    grid: ImageGrid,
    source: Arc<Embeddings>,
) -> impl Iterator<Item = EmbeddingSpan> {
    let (width, height) = (grid.width as usize, grid.height as usize);
    (0..height).map(move |row| EmbeddingSpan {
        first: start + row * (width + 1),
        count: width,
        first_row: row * width,
        source: Arc::clone(&source),
    })
}

/// The runs of image tokens: where each begins, and how long it is.
fn runs(ids: &[u32]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    let runs = ids.chunk_by(|a, b| (*a == IMAGE_TOKEN) == (*b == IMAGE_TOKEN));
    runs.map(move |run| {
        let first = at;
        at += run.len();
        (first, run.len(), run[0])
    })
    .filter_map(|(first, count, id)| (id == IMAGE_TOKEN).then_some((first, count)))
}

/// Rows of images seen before, the longest unused given up first.
struct Cache {
    max_bytes: usize,
    /// The longest unused first.
    entries: Vec<Arc<Embeddings>>,
}

impl Cache {
    fn new(max_bytes: usize) -> Cache {
        Cache {
            max_bytes,
            entries: Vec::new(),
        }
    }

    fn get(&self, digest: &[u8; 32]) -> Option<Arc<Embeddings>> {
        self.entries
            .iter()
            .find(|entry| entry.digest == *digest)
            .cloned()
    }

    /// Makes it the newest, and gives up what no longer fits.
    fn put(&mut self, newest: &Arc<Embeddings>) {
        self.entries.retain(|entry| entry.digest != newest.digest);
        self.entries.push(Arc::clone(newest));
        let bytes = |entries: &[Arc<Embeddings>]| -> usize {
            entries.iter().map(|e| size_of_val(&*e.rows)).sum()
        };
        while bytes(&self.entries) > self.max_bytes {
            self.entries.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(digest: u8, count: usize) -> Arc<Embeddings> {
        Arc::new(Embeddings {
            digest: [digest; 32],
            rows: vec![0.0; count],
        })
    }

    #[test]
    fn runs_of_image_tokens_are_found() {
        let ids = [10, 10, 12, 10, 13, 1, 2, 10];
        assert_eq!(runs(&ids).collect::<Vec<_>>(), [(0, 2), (3, 1), (7, 1)]);
        assert_eq!(runs(&[]).count() + runs(&[1, 2]).count(), 0);
    }

    #[test]
    fn an_image_is_laid_out_row_by_row() {
        let grid = ImageGrid {
            width: 3,
            height: 2,
        };
        let spans: Vec<EmbeddingSpan> = spans(5, grid, rows(1, 6)).collect();
        let places: Vec<_> = spans
            .iter()
            .map(|s| (s.first, s.count, s.first_row))
            .collect();
        assert_eq!(places, [(5, 3, 0), (9, 3, 3)]);
    }

    #[test]
    fn the_longest_unused_rows_are_given_up() {
        let mut cache = Cache::new(10 * 4);
        for (digest, count) in [(1, 4), (2, 4), (1, 4), (3, 4)] {
            cache.put(&rows(digest, count));
        }
        assert_eq!(
            [1, 2, 3].map(|digest| cache.get(&[digest; 32]).is_some()),
            [true, false, true]
        );
        // One that is larger than the whole cache is used and not kept.
        cache.put(&rows(4, 11));
        assert!(cache.entries.is_empty());
    }
}
