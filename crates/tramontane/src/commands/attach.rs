//! Images that are given on the command line, as chunks of a message.

use crate::load;
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat::image;
use serde_json::{Value, json};
use std::path::Path;

/// The chunk of an image: a file's bytes, or what a data URL holds.
///
/// # Errors
/// A file that cannot be read or holds no image.
pub fn image(source: &str) -> Result<Value> {
    let is = |scheme: &str| {
        source
            .get(..scheme.len())
            .is_some_and(|s| s.eq_ignore_ascii_case(scheme))
    };
    if is("data:") {
        return Ok(json!({"type": "image_url", "image_url": {"url": source}}));
    }
    if is("http://") || is("https://") {
        bail!("{source}: images are not fetched from the network\nSave it, and give the file");
    }
    let bytes = load::read(Path::new(source))?;
    image::size_in_pixels(&bytes, source)
        .context("--image expects a PNG, JPEG, WebP, GIF or BMP file")?;
    let url = format!(
        "data:application/octet-stream;base64,{}",
        STANDARD.encode(bytes)
    );
    Ok(json!({"type": "image_url", "image_url": {"url": url}}))
}

/// A user's message: the images first, then the text.
pub fn message(images: Vec<Value>, text: &str) -> Value {
    if images.is_empty() {
        return json!({"role": "user", "content": text});
    }
    let mut content = images;
    content.push(json!({"type": "text", "text": text}));
    json!({"role": "user", "content": content})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_refused() {
        assert!(image("data:image/png;base64,AAAA").is_ok());
        assert!(image("https://example.org/a.png").is_err());
        assert!(image("/nonexistent/a.png").is_err());
        assert!(image(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).is_err());
    }

    #[test]
    fn images_stand_before_the_text() {
        assert_eq!(message(vec![], "a")["content"], "a");
        let content = &message(vec![json!("image")], "a")["content"];
        assert_eq!(content[1]["text"], "a");
        assert_eq!(content[0], "image");
    }
}
