//! Images that a request names by address: refused, unless the server may fetch them.
//!
//! Must not know: what is in an image.

use crate::app::App;
use crate::error::{ApiError, Kind};
use chat::message::ImageSource;
use chat::request::Request;

/// Puts the bytes of every image in place of its address.
///
/// # Errors
/// An address that may not or cannot be fetched.
pub fn fetch(request: &mut Request, app: &App) -> Result<(), ApiError> {
    for source in request.images_mut() {
        let ImageSource::Url(url) = source else {
            continue;
        };
        if url
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
        {
            continue;
        }
        if !app.limits.allow_image_urls {
            return Err(ApiError::new(
                Kind::Request,
                "an image is given by its address, and this server does not fetch any; send its bytes as a data URL \
                 (data:image/png;base64,…)",
            ));
        }
    }
    Ok(())
}
