//! Images that a request names by address: refused, unless the server may fetch them.
//!
//! Must not know: what is in an image.

mod client;
mod public;

use crate::app::App;
use crate::error::{ApiError, Kind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chat::message::ImageSource;
use chat::request::Request;
use std::time::{Duration, Instant};

/// How long the images of a request may take together.
const LIMIT: Duration = Duration::from_secs(20);

/// Puts the bytes of every image in place of its address. Takes as long as the network does.
///
/// # Errors
/// An address that may not or cannot be fetched.
pub fn fetch(request: &mut Request, app: &App) -> Result<(), ApiError> {
    let until = Instant::now() + LIMIT;
    for (index, source) in request.images_mut().enumerate() {
        let ImageSource::Url(url) = source else {
            continue;
        };
        if is_data(url) {
            continue;
        }
        if !app.limits.allow_image_urls {
            return Err(ApiError::new(
                Kind::Request,
                "an image is given by its address, and this server does not fetch any; send its bytes as a data URL \
                 (data:image/png;base64,…)",
            ));
        }
        let left = until.saturating_duration_since(Instant::now());
        let bytes = client::get(url, left).map_err(|why| {
            let shown: String = url.chars().take(100).collect();
            ApiError::new(Kind::Request, format!("image {index}, {shown:?}: {why}"))
        })?;
        *source = ImageSource::Base64(STANDARD.encode(bytes));
    }
    Ok(())
}

fn is_data(url: &str) -> bool {
    url.get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}
