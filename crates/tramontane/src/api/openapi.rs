//! `GET /openapi.json`: the description of all endpoints, kept by hand beside this file; a test holds it to the router.

use axum::body::Body;
use axum::http::Response;
use serde_json::Value;

const DESCRIPTION: &str = include_str!("openapi.json");

/// The description, with this program's version.
pub async fn get() -> Response<Body> {
    super::json_response(&description())
}

/// As it is served.
pub(super) fn description() -> Value {
    let mut description: Value = serde_json::from_str(DESCRIPTION).unwrap_or_default();
    description["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    description
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_json_and_every_reference_leads_somewhere() {
        let description = description();
        assert_eq!(description["openapi"], "3.1.0");
        let text = description.to_string();
        let references = text.split("\"#/components/schemas/").skip(1);
        for reference in references.map(|rest| rest.split('"').next().unwrap()) {
            let found = &description["components"]["schemas"][reference];
            assert!(found.is_object(), "{reference}");
        }
    }
}
