//! Which errors have advice to give, and which point into a file.
//!
//! An error's `hint()` belongs to its type, and a chain of causes has lost its types; here they are found again. A new error type with a
//! hint gets a line here, and its hint is shown from wherever in a chain it stands.

use std::error::Error;

use super::excerpt::Excerpt;

/// The advice of one error of a chain.
pub(super) fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    macro_rules! first_of {
        ($($known:ty),+ $(,)?) => {
            None$(.or_else(|| error.downcast_ref::<$known>().and_then(<$known>::hint)))+
        };
    }
    first_of![
        crate::context::ContextError,
        crate::context::StoreLocationError,
        crate::images::NotInPlace,
        longshore_config::ConfigError,
        longshore_files::FileError,
        longshore_golang::SyntaxErrors,
        longshore_image::ContentError,
        longshore_image::CopyError,
        longshore_image::LayoutError,
        longshore_process::ProcessError,
        longshore_store::ResolveError,
        longshore_store::StoreError,
    ]
}

/// Where in a file one error of a chain points.
pub(super) fn excerpt(error: &(dyn Error + 'static)) -> Option<Excerpt> {
    let config = error.downcast_ref::<longshore_config::ConfigError>()?;
    let position = config.position?;
    Some(Excerpt {
        path: config.file.clone(),
        line: position.line,
        column: Some(position.column),
        label: config.kind.to_string(),
    })
}
